// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import "bytes"

// What is here finds a member of a JSON object without decoding the rest, in text
// that is known to be valid: it has been decoded once, or comes from a cache. Of two
// members of one name the first is found, of one whose name is written with escapes none:
// no API server sends either.

// span is where a member of a JSON object is: its name, its value, and what follows.
type span struct{ name, value, end int }

// valueAt returns the JSON of the value that the path leads to.
func valueAt(data []byte, path ...string) (value []byte, ok bool) {
	s, ok := find(data, path)
	if !ok {
		return nil, false
	}
	return data[s.value:s.end], true
}

// without returns a copy of data that lacks the member that the path leads to, if
// it has it.
func without(data []byte, path ...string) []byte {
	s, ok := find(data, path)
	if !ok {
		return bytes.Clone(data)
	}
	head, tail := data[:s.name], data[skipSpace(data, s.end):]
	switch {
	case bytes.HasPrefix(tail, comma):
		tail = tail[1:]
	default: // it was the last one: the comma in front of it goes
		head = bytes.TrimSuffix(bytes.TrimRight(head, " \n\t\r"), comma)
	}
	return append(append(make([]byte, 0, len(head)+len(tail)), head...), tail...)
}

var comma = []byte{','}

// find follows the path from the object that data is.
func find(data []byte, path []string) (s span, ok bool) {
	for _, name := range path {
		if s, ok = member(data, s.value, name); !ok {
			return span{}, false
		}
	}
	return s, ok
}

// member finds a member of the object that begins at an index. A name that is
// written with escapes is not found.
func member(data []byte, at int, name string) (s span, ok bool) {
	at = skipSpace(data, at)
	if at >= len(data) || data[at] != '{' {
		return span{}, false
	}
	for at = skipSpace(data, at+1); at < len(data) && data[at] == '"'; at = skipSpace(data, at) {
		s.name = at
		at = skipString(data, at)
		found := string(data[s.name+1:max(at-1, s.name+1)]) == name
		s.value = skipSpace(data, skipSpace(data, at)+1) // the colon is between
		s.end = skipValue(data, s.value)
		if found {
			return s, true
		}
		if at = skipSpace(data, s.end); at < len(data) && data[at] == ',' {
			at++
		}
	}
	return span{}, false
}

// Each of the following returns the index behind what it skips, len(data) at most.

func skipSpace(data []byte, at int) int {
	for at < len(data) && (data[at] == ' ' || data[at] == '\n' || data[at] == '\t' || data[at] == '\r') {
		at++
	}
	return min(at, len(data))
}

func skipString(data []byte, at int) int {
	for at++; at < len(data); at++ {
		n := bytes.IndexByte(data[at:], '"')
		if n < 0 {
			break
		}
		at += n
		escapes := 0
		for data[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at + 1
		}
	}
	return len(data)
}

func skipValue(data []byte, at int) int {
	for depth := 0; at < len(data); {
		switch c := data[at]; {
		case c == '"':
			at = skipString(data, at)
		case c == '{' || c == '[':
			depth++
			at++
			continue
		case c == '}' || c == ']':
			if depth == 0 {
				return at
			}
			depth--
			at++
		case depth > 0:
			at++
			continue
		default: // a number, or a word
			for at < len(data) && !isDelimiter(data[at]) {
				at++
			}
			return at
		}
		if depth == 0 {
			return at
		}
	}
	return len(data)
}

func isDelimiter(c byte) bool {
	switch c {
	case ',', '}', ']', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}
