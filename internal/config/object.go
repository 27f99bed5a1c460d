// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// object is a mapping of a document while it is read. Each field is asked for
// by name once; what is left when done is called was never asked for and so is
// unknown. Struct tags and a strict decoder would stop at the first value of a
// wrong type; here all of them are told, each with its full path.
//
// A field that is null counts as absent, as in the Kubernetes API.
type object struct {
	path   *field.Path // nil for the document itself
	fields map[string]any
	asked  []string
	errs   *field.ErrorList // shared by all objects of a document
}

// get returns the value of a field and where it stands; nil if it is absent.
func (o *object) get(name string) (any, *field.Path) {
	o.asked = append(o.asked, name)
	return o.fields[name], o.path.Child(name)
}

// fail records what is wrong with a field.
func (o *object) fail(err *field.Error) { *o.errs = append(*o.errs, err) }

// text reads a string: absent if it is not there or not a string. The latter
// is recorded.
func (o *object) text(name, absent string) string {
	value, path := o.get(name)
	switch value := value.(type) {
	case nil:
		return absent
	case string:
		return value
	default:
		o.fail(textNeeded(path, value))
		return absent
	}
}

// boolean reads true or false: absent if it is not there or neither. The latter
// is recorded.
func (o *object) boolean(name string, absent bool) bool {
	value, path := o.get(name)
	switch value := value.(type) {
	case nil:
		return absent
	case bool:
		return value
	default:
		o.fail(field.TypeInvalid(path, value, "use true or false, without quotes"))
		return absent
	}
}

// integer reads a whole number from 1 to most: absent if it is not there or not such
// a number. The latter is recorded.
func (o *object) integer(name string, absent, most int64) int64 {
	value, path := o.get(name)
	if value == nil {
		return absent
	}
	number, ok := value.(int64)
	if !ok {
		o.fail(field.TypeInvalid(path, value, fmt.Sprintf("use a whole number from 1 to %d, without quotes", most)))
		return absent
	}
	if number < 1 || number > most {
		o.fail(field.Invalid(path, value, fmt.Sprintf("use a whole number from 1 to %d", most)))
		return absent
	}
	return number
}

// share reads a part of a whole, above 0 and at most 1: 0 if it is not there or
// not such a number. The latter is recorded.
func (o *object) share(name string) float64 {
	value, path := o.get(name)
	share := 0.0
	switch value := value.(type) {
	case nil:
		return 0
	case int64:
		share = float64(value)
	case float64:
		share = value
	}
	if share <= 0 || share > 1 {
		o.fail(field.Invalid(path, value, "use a number above 0 and at most 1, as in 0.1 for a tenth, without quotes"))
		return 0
	}
	return share
}

// duration reads a Go duration: absent, and not ok, if it is none. That is
// recorded. A field that is not there is ok.
func (o *object) duration(name string, absent time.Duration) (_ time.Duration, ok bool) {
	value, path := o.get(name)
	switch value := value.(type) {
	case nil:
		return absent, true
	case string:
		duration, err := time.ParseDuration(value)
		if err == nil {
			return duration, true
		}
		o.fail(field.Invalid(path, value, "use a number and a unit (ms, s, m, h), as in 20s or 1m30s"))
	case int64, float64:
		o.fail(field.TypeInvalid(path, value, fmt.Sprintf("a duration needs a unit: write %vs if seconds are meant", value)))
	default:
		o.fail(field.TypeInvalid(path, value, "use a number and a unit (ms, s, m, h), as in 20s or 1m30s"))
	}
	return absent, false
}

// within reads a duration from least to an hour: absent if it is not there or not such a
// duration. The latter is recorded.
func (o *object) within(name string, absent, least time.Duration) time.Duration {
	duration, ok := o.duration(name, absent)
	if !ok || o.fields[name] == nil {
		return absent
	}
	if duration < least || duration > maxPause {
		o.fail(field.Invalid(o.path.Child(name), o.fields[name], fmt.Sprintf("use %s to %s", least, maxPause)))
		return absent
	}
	return duration
}

// oneOf says which of some fields is there: exactly one has to be, for the reason why.
// Else, which is recorded, it is the first one, or empty.
func (o *object) oneOf(why string, names ...string) string {
	found := ""
	for _, name := range names {
		value, path := o.get(name)
		switch {
		case value == nil:
		case found == "":
			found = name
		default:
			o.fail(field.Forbidden(path, fmt.Sprintf("it is %s already: remove one of the two", found)))
		}
	}
	if found == "" {
		o.fail(field.Required(o.path, fmt.Sprintf("%s: set one of %s", why, strings.Join(names, ", "))))
	}
	return found
}

// absent records a field that is there although it must not be, for the reason why.
func (o *object) absent(name, why string) {
	if value, path := o.get(name); value != nil {
		o.fail(field.Forbidden(path, why))
	}
}

// object reads a mapping: an empty one if it is not there or not a mapping.
// The latter is recorded.
func (o *object) object(name string) *object {
	value, path := o.get(name)
	fields, ok := value.(map[string]any)
	if value != nil && !ok {
		o.fail(mappingNeeded(path, value))
	}
	return &object{path: path, fields: fields, errs: o.errs}
}

// objects reads a list of mappings, without the entries that are none. The
// latter is recorded.
func (o *object) objects(name string) []*object {
	var objects []*object
	for i, value := range o.list(name) {
		path := o.path.Child(name).Index(i)
		fields, ok := value.(map[string]any)
		if !ok {
			o.fail(mappingNeeded(path, value))
			continue
		}
		objects = append(objects, &object{path: path, fields: fields, errs: o.errs})
	}
	return objects
}

// list reads a list of anything: nil if it is not there or no list. The latter is
// recorded.
func (o *object) list(name string) []any {
	value, path := o.get(name)
	list, ok := value.([]any)
	if value != nil && !ok {
		o.fail(field.TypeInvalid(path, value, "a list is needed here: begin each entry with \"- \""))
	}
	return list
}

// texts reads a list of strings, without the entries that are none. The latter is
// recorded.
func (o *object) texts(name string) []string {
	var texts []string
	for i, value := range o.list(name) {
		text, ok := value.(string)
		if !ok {
			o.fail(textNeeded(o.path.Child(name).Index(i), value))
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// textNeeded is about a value that is no string.
func textNeeded(path *field.Path, value any) *field.Error {
	switch value := value.(type) {
	case nil, map[string]any, []any:
		return field.TypeInvalid(path, value, "a string is needed here")
	default:
		return field.TypeInvalid(path, value, fmt.Sprintf("a string is needed here: write it in quotes, as \"%v\"", value))
	}
}

func mappingNeeded(path *field.Path, value any) *field.Error {
	return field.TypeInvalid(path, value, "fields with values are needed here, each as \"name: value\"")
}

// done records every field that nobody asked for.
func (o *object) done() {
	slices.Sort(o.asked)
	use := "use " + strings.Join(slices.Compact(slices.Clone(o.asked)), ", ")
	if len(o.asked) == 0 {
		use = "remove it"
	}
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		if !slices.Contains(o.asked, name) {
			o.fail(field.Forbidden(o.path.Child(printable(name)), "there is no such field here: "+use))
		}
	}
}

// printable is name as a path may show it: on one line and not endless.
func printable(name string) string {
	quoted := fmt.Sprintf("%q", shorten(name))
	if quoted == `"`+name+`"` && name != "" {
		return name
	}
	return quoted
}
