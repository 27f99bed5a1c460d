// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v2"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// document is the text of one YAML document, with its marker, if it has one.
type document struct {
	line int // of the file, from 1
	text []byte
}

// split cuts a file into its documents, empty ones included. The marker stays
// with the document that it begins: text may follow it on its line. It is done
// here and not by apimachinery's reader because messages need line numbers.
func split(data []byte) []document {
	var documents []document
	begin, beginLine, line := 0, 1, 1
	cut := func(end, nextLine int) {
		if end > begin {
			documents = append(documents, document{line: beginLine, text: data[begin:end]})
		}
		begin, beginLine = end, nextLine
	}
	for offset := 0; offset < len(data); line++ {
		end := len(data)
		if i := bytes.IndexByte(data[offset:], '\n'); i >= 0 {
			end = offset + i + 1
		}
		switch text := data[offset:end]; {
		case isMarker(text, "---"):
			cut(offset, line)
		case isMarker(text, "..."):
			cut(end, line+1)
		}
		offset = end
	}
	cut(len(data), line)
	return documents
}

// isMarker tells whether line is marker, alone or followed by white space.
func isMarker(line []byte, marker string) bool {
	rest, found := bytes.CutPrefix(line, []byte(marker))
	return found && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// duplicate is a field that stands twice in one mapping.
type duplicate struct {
	line int // of the second one, in its document, from 1
	name string
}

// maxDecoded bounds what a document comes to with its aliases followed: a text
// repeated by a few thousand aliases would fill the memory. Without aliases
// nothing of MaxBytes comes near it.
const maxDecoded = 4 * MaxBytes

// errTrailing is about text that a YAML reader passes over without a word:
// behind the end of a flow ({...} and so on, JSON too), or behind a marker that
// follows one of the rarer line breaks of YAML.
var errTrailing = errors.New("text follows the end of the document: remove it, or put a line with --- before it")

// decode reads a document's text: nil for an empty one, integers as int64. A
// document with duplicate fields is read nevertheless, the last one counting,
// so that the rest of it can be checked in the same go.
func decode(text []byte) (value any, duplicates []duplicate, err error) {
	reader := goyaml.NewDecoder(bytes.NewReader(text))
	reader.SetStrict(true)
	var tree any
	if err := reader.Decode(&tree); err != nil && !errors.Is(err, io.EOF) {
		if duplicates = findDuplicates(err); len(duplicates) == 0 {
			return nil, nil, err
		}
	}
	if err := reader.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, duplicates, errTrailing
	}
	if weigh(tree, maxDecoded) < 0 {
		return nil, duplicates, fmt.Errorf("its aliases make more than %d bytes of it", maxDecoded)
	}
	if fields, ok := tree.(map[any]any); ok {
		if errs := findNotFinite(fields, nil); len(errs) > 0 {
			return nil, duplicates, &notFiniteError{fields: errs}
		}
	}
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, duplicates, err
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, duplicates, fmt.Errorf("reading the YAML as JSON: %w", err)
	}
	return value, duplicates, nil
}

// weigh takes from budget a byte for each value of tree and the length of each
// string, and returns what is left. It stops as soon as that is negative.
func weigh(tree any, budget int) int {
	budget--
	switch tree := tree.(type) {
	case string:
		budget -= len(tree)
	case []any:
		for _, value := range tree {
			if budget < 0 {
				break
			}
			budget = weigh(value, budget)
		}
	case map[any]any:
		for name, value := range tree {
			if budget < 0 {
				break
			}
			budget = weigh(value, weigh(name, budget))
		}
	}
	return budget
}

// notFiniteError is about the numbers that YAML has and JSON has not.
type notFiniteError struct{ fields field.ErrorList }

func (e *notFiniteError) Error() string { return e.fields.ToAggregate().Error() }

// findNotFinite returns what to say of those in tree, in the order of their paths.
func findNotFinite(tree any, path *field.Path) (errs field.ErrorList) {
	switch tree := tree.(type) {
	case float64:
		if math.IsNaN(tree) || math.IsInf(tree, 0) {
			errs = append(errs, field.Invalid(path, tree, "use a number that is finite"))
		}
	case []any:
		for i, value := range tree {
			errs = append(errs, findNotFinite(value, path.Index(i))...)
		}
	case map[any]any:
		fields := map[string]any{}
		for name, value := range tree {
			fields[fmt.Sprint(name)] = value
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			errs = append(errs, findNotFinite(fields[name], path.Child(printable(name)))...)
		}
	}
	return errs
}

// findDuplicates takes an error of the strict reader apart: nothing if it is
// about anything else.
func findDuplicates(err error) []duplicate {
	var typeError *goyaml.TypeError
	if !errors.As(err, &typeError) {
		return nil
	}
	duplicates := make([]duplicate, 0, len(typeError.Errors))
	for _, text := range typeError.Errors {
		line, text := cutLine(text)
		name, found := strings.CutSuffix(text, " already set in map")
		if !found {
			return nil
		}
		name = strings.TrimPrefix(name, "key ")
		if plain, err := strconv.Unquote(name); err == nil {
			name = plain
		}
		duplicates = append(duplicates, duplicate{line: line, name: name})
	}
	return duplicates
}

// cutLine takes "line 12: " from the front of what the YAML reader says. It
// says nothing of the line where that is the first one.
func cutLine(text string) (line int, rest string) {
	if after, found := strings.CutPrefix(text, "line "); found {
		number, rest, _ := strings.Cut(after, ": ")
		if line, err := strconv.Atoi(number); err == nil {
			return line, rest
		}
	}
	return 1, text
}
