// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import "fmt"

// MaxAnswerValues is how many values an answer may hold, the names of fields included. It is checked before
// anything is decoded: ten megabytes of empty objects take seventy times as much once they are decoded.
const MaxAnswerValues = 250_000

// checkValues refuses a JSON text that would take too much memory to decode. Whether it is JSON at all is
// for the decoder to say, which finds no more values than are counted here before it gives up.
func checkValues(body []byte) error {
	values, quoted := 1, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++ // what is escaped ends no text
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[', c == ',', c == ':':
			values++
		}
	}
	if values > MaxAnswerValues {
		return fmt.Errorf("holds more than the %d values allowed", MaxAnswerValues)
	}
	return nil
}
