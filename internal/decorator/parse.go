// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// unsupported names the fields of metacontroller's DecoratorController that shardctl knows and does not
// have, with the reason and the way out. Ignoring one would change what a document means, so each is
// refused by name; every other unknown field is refused as unknown.
var unsupported = map[string]string{
	"customize":             "shardctl does not send related objects to hooks: remove it, and read what the hook needs in the hook itself",
	"etag":                  "shardctl does not cache answers: remove it",
	"caBundle":              "shardctl trusts the system's certificate authorities only: remove it, and add the authority to the container image or set SSL_CERT_FILE",
	"clientTLS":             "shardctl sends no client certificate to a hook: remove it",
	"authorization":         "shardctl sends no credentials to a hook: remove it",
	"basicAuth":             "shardctl sends no credentials to a hook: remove it",
	"connections":           "shardctl has no settings by host: remove it",
	"endpointConfigs":       "shardctl has no settings by host: remove it",
	"defaultUpdateStrategy": "set updateStrategy on each rule of spec.attachments instead",
}

// Parse reads a DecoratorController from YAML or JSON and validates it. Nothing is ignored: unknown and
// duplicate fields are errors, and so is what shardctl does not support. The fields in the errors are
// below path, which may be nil. The Document is nil if there is any error.
func Parse(raw []byte, path *field.Path) (*Document, field.ErrorList) {
	doc, errs := parse(raw, path)
	for _, err := range errs {
		if path == nil && err.Field == path.String() { // of the document as a whole, which has no path
			err.Field = "(document)"
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return doc, nil
}

func parse(raw []byte, path *field.Path) (*Document, field.ErrorList) {
	asJSON, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(path, "", fmt.Sprintf("is not YAML or JSON: %v", err))}
	}
	doc := &Document{}
	strictErrs, err := kjson.UnmarshalStrict(asJSON, doc)
	if err != nil {
		return nil, field.ErrorList{typeError(asJSON, err, path)}
	}
	var errs field.ErrorList
	for _, strictErr := range strictErrs {
		errs = append(errs, strictError(strictErr, path))
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(asJSON, &doc.written); err != nil {
		errs = append(errs, field.InternalError(path, err))
	}
	return doc, append(errs, doc.validate(path)...)
}

// strictError words an unknown or duplicate field.
func strictError(err error, path *field.Path) *field.Error {
	var at kjson.FieldError
	if !errors.As(err, &at) {
		return field.Invalid(path, "", err.Error())
	}
	where := at.FieldPath()
	name := where[strings.LastIndexByte(where, '.')+1:]
	if reason, known := unsupported[name]; known {
		return field.Forbidden(path.Child(where), "not supported: "+reason)
	}
	return field.Forbidden(path.Child(where), "unknown field: remove it, or correct its name")
}

// typeError words a value of the wrong JSON type. The decoder gives the names of the fields on the way to
// it but no list indices, so the path is taken from the place in the text.
func typeError(raw []byte, err error, path *field.Path) *field.Error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return field.Invalid(path, "", err.Error())
	}
	if where := pathAt(raw, wrong.Offset); where != "" {
		path = path.Child(where)
	}
	return field.TypeInvalid(path, wrong.Value, fmt.Sprintf("must be %s", jsonType(wrong)))
}

func jsonType(err *json.UnmarshalTypeError) string {
	switch kind := err.Type.Kind().String(); kind {
	case "string", "map":
		return map[string]string{"string": "a string", "map": "an object"}[kind]
	case "struct", "ptr":
		return "an object"
	case "slice":
		return "a list"
	case "bool":
		return "true or false"
	case "int32", "int64":
		return "a whole number"
	default:
		return "a " + kind
	}
}

// pathAt returns the path of the JSON value that the first offset bytes of raw end in.
func pathAt(raw []byte, offset int64) string {
	type level struct {
		list  bool
		index int
		key   string
		value bool // in an object: the next token is a value
	}
	var stack []level
	var path string
	decoder := json.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := decoder.Token()
		if err != nil || decoder.InputOffset() > offset {
			return path
		}
		delim, isDelim := token.(json.Delim)
		if isDelim && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if len(stack) > 0 {
			top := &stack[len(stack)-1]
			if !top.list && !top.value {
				top.key, top.value = token.(string), true
				continue
			}
			top.value = false
			if top.list {
				top.key = "[" + strconv.Itoa(top.index) + "]"
				top.index++
			}
			path = ""
			for _, l := range stack {
				if path != "" && !l.list {
					path += "."
				}
				path += l.key
			}
		}
		if isDelim {
			stack = append(stack, level{list: delim == '['})
		}
	}
}
