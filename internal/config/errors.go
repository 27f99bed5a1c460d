// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	// maxProblemsShown bounds a message: somebody who gives the wrong file
	// needs to see that, not every line of it.
	maxProblemsShown = 30
	// maxValueShown bounds, in bytes, what a message repeats of the file.
	maxValueShown = 120
)

// InvalidError is everything that is wrong with a file.
type InvalidError struct {
	// Problems are in the order of the documents; at least one.
	Problems []Problem
}

// Error has one line for each problem, the first 30 of them.
func (e *InvalidError) Error() string {
	shown := e.Problems[:min(len(e.Problems), maxProblemsShown)]
	lines := make([]string, 0, len(shown)+1)
	for _, problem := range shown {
		lines = append(lines, problem.String())
	}
	if more := len(e.Problems) - len(shown); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Problem is one thing that is wrong with a file.
type Problem struct {
	Place

	// Field is the path of the field in the document, empty where the document
	// or the file as a whole is meant.
	Field string

	// Detail is the value, what is wrong with it and what to do.
	Detail string
}

// String is in the form file:line: that editors and terminals make a link of.
func (p Problem) String() string {
	if p.Field == "" {
		return fmt.Sprintf("%s: %s", p.Place, p.Detail)
	}
	return fmt.Sprintf("%s: %s: %s", p.Place, p.Field, p.Detail)
}

// Place is where in a file something stands.
type Place struct {
	// File is the name that the file was given by.
	File string

	// Line, counted from 1, is the first of the document, or the one at fault
	// where the text is not YAML. 0 means the file as a whole.
	Line int

	// Document, counted from 1 without the empty ones. 0 means the file as a
	// whole.
	Document int
}

// String gives as much of the place as is known.
func (p Place) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Document == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	default:
		return fmt.Sprintf("%s:%d: document %d", p.File, p.Line, p.Document)
	}
}

// inFile is String without the file, for a message about the same file.
func (p Place) inFile() string {
	return fmt.Sprintf("document %d, line %d", p.Document, p.Line)
}

// fieldProblem places what validation of a field said.
func fieldProblem(place Place, err *field.Error) Problem {
	shown := *err
	shown.BadValue = excerpt(err.BadValue)
	return Problem{Place: place, Field: err.Field, Detail: shown.ErrorBody()}
}

// excerpt is value as a message may repeat it: as it is where its text is
// short, else the beginning of that.
func excerpt(value any) any {
	if text, ok := value.(string); ok {
		return shorten(text)
	}
	if text, err := json.Marshal(value); err == nil && len(text) > maxValueShown {
		return shorten(string(text))
	}
	return value
}

// shorten cuts text at maxValueShown bytes, between two characters.
func shorten(text string) string {
	if len(text) <= maxValueShown {
		return text
	}
	end := maxValueShown
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}
