// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"bytes"
	"errors"

	kjson "sigs.k8s.io/json"
)

// maxStrictErrors bounds how many unknown or duplicate fields an error names.
const maxStrictErrors = 3

// Decode reads a hook's answer, a JSON object, into answer. Fields that answer does not have are ignored.
func Decode(body []byte, answer any) error { return decode(body, answer, false) }

// decode is Decode, which if strict is set takes unknown and duplicate fields for errors.
func decode(body []byte, answer any, strict bool) error {
	switch body := bytes.TrimSpace(body); {
	case len(body) == 0:
		return errors.New("is empty, not a JSON object")
	case body[0] != '{':
		// A null would decode as an answer that wants nothing, and have everything deleted.
		return errors.New("is not a JSON object")
	}
	if err := checkValues(body); err != nil {
		return err
	}
	strictErrs, err := kjson.UnmarshalStrict(body, answer)
	if err != nil {
		return err
	}
	if strict && len(strictErrs) > 0 {
		return errors.Join(strictErrs[:min(len(strictErrs), maxStrictErrors)]...)
	}
	return nil
}

// badAnswer is the Error for an answer that decode refuses.
func badAnswer(target string, body []byte, err error) *Error {
	return &Error{Reason: BadAnswer, Target: target, Detail: "the answer is not usable", Err: err, Excerpt: head(body)}
}
