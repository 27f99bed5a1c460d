// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What a hook may ask for at most, so that a bad one costs no more than its own object's sync.
const (
	// maxAttachments bounds the attachments of one object: they are written one after the other, and all
	// are sent to the hook each time.
	maxAttachments = 1000

	// maxDepth bounds how deep a status or an attachment nests. A JSONSchema in a CRD, the deepest that
	// people write, stays far below it; each level costs stack here and in the API server.
	maxDepth = 100

	// maxShownBytes bounds what an error repeats of one value: longer than any name that is valid.
	maxShownBytes = 300

	// maxErrorBytes bounds the text of Sync's error, which may repeat what a hook or the API server says.
	maxErrorBytes = 4 << 10
)

// reservedPrefix is that of the labels and annotations that shardctl itself goes by: with them, a hook
// could make a Lease that the group takes for one of its own, or hide who owns an attachment.
const reservedPrefix = "shardctl.dev/"

// checkSizes finds in an answer what is too much to be looked at any closer.
func (a *answer) checkSizes() field.ErrorList {
	var errs field.ErrorList
	if n := len(a.Attachments); n > maxAttachments {
		errs = append(errs, tooMany(field.NewPath("attachments"), n, maxAttachments))
	}
	for _, part := range []struct {
		name   string
		wishes map[string]*string
	}{{"labels", a.Labels}, {"annotations", a.Annotations}} {
		size := 0
		for k, v := range part.wishes {
			size += len(k)
			if v != nil {
				size += len(*v)
			}
		}
		if size > validation.TotalAnnotationSizeLimitB {
			errs = append(errs, tooLong(field.NewPath(part.name), size, validation.TotalAnnotationSizeLimitB))
		}
	}
	if nestsDeeper(a.Status, maxDepth) {
		errs = append(errs, tooDeep(field.NewPath("status")))
	}
	return errs
}

func tooMany(path *field.Path, n, most int) *field.Error {
	err := field.TooMany(path, n, most)
	err.Detail += ": leave some out, or attach them to several objects"
	return err
}

func tooLong(path *field.Path, size, most int) *field.Error {
	err := field.TooLong(path, "", most)
	err.Detail = fmt.Sprintf("has %d bytes, and at most %d are allowed", size, most)
	return err
}

func tooDeep(path *field.Path) *field.Error {
	return field.Invalid(path, "", fmt.Sprintf("nests deeper than %d levels: make it flatter", maxDepth))
}

// nestsDeeper tells whether a JSON value has objects and lists within each other on more than some levels.
// It does not go deeper itself.
func nestsDeeper(value any, levels int) bool {
	switch value := value.(type) {
	case map[string]any:
		for _, v := range value {
			if levels == 0 || nestsDeeper(v, levels-1) {
				return true
			}
		}
	case []any:
		for _, v := range value {
			if levels == 0 || nestsDeeper(v, levels-1) {
				return true
			}
		}
	}
	return false
}

// checkLastApplied refuses an attachment that could be created, but not with the annotation that says what
// was asked for: the API server would only say that its annotations are too long.
func checkLastApplied(desired map[string]any, path *field.Path) *field.Error {
	text, err := json.Marshal(desired)
	if err != nil {
		return field.InternalError(path, err)
	}
	size := len(lastAppliedAnnotation) + len(text)
	for k, v := range annotationsOf(desired) {
		value, _ := v.(string)
		size += len(k) + len(value)
	}
	if size <= validation.TotalAnnotationSizeLimitB {
		return nil
	}
	return field.Invalid(path, "", fmt.Sprintf("takes %d bytes of annotations, of which the API server allows %d, because what a hook asks for "+
		"is kept in one: make it smaller, or split it", size, validation.TotalAnnotationSizeLimitB))
}

// reserved returns an error for the first label or annotation, by name, that is shardctl's own.
func reserved[V any](values map[string]V, path *field.Path) *field.Error {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if strings.HasPrefix(key, reservedPrefix) {
			return field.Forbidden(path, fmt.Sprintf("%q is for shardctl itself: use another prefix than %s", shown(key), reservedPrefix))
		}
	}
	return nil
}

// boundedError is an error whose text is cut.
type boundedError struct {
	error
	text string
}

func (e *boundedError) Error() string { return e.text }
func (e *boundedError) Unwrap() error { return e.error }

// bounded returns an error with the chain of err and a text fit for a log.
func bounded(err error) error {
	text := err.Error()
	if len(text) <= maxErrorBytes {
		return err
	}
	return &boundedError{error: err, text: cut(text, maxErrorBytes)}
}

// shown returns what an error repeats of a value that a hook has chosen.
func shown(value string) string { return cut(value, maxShownBytes) }

// cut returns the beginning of a text that is longer than it should be, and its length.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(text[:most], ""), len(text)) // the cut may split a character
}
