// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"bufio"
	"errors"
	"io"
)

// maxLineBytes bounds a line of output; what is longer is cut.
const maxLineBytes = 4 << 10

const cutMark = " [cut]"

// eachLine calls line for every line that r yields, without its end. A line that is too long is handed on as soon as that
// is known, and the rest of it is skipped. It returns when r yields no more.
func eachLine(r io.Reader, line func(string)) {
	b := bufio.NewReaderSize(r, maxLineBytes)
	for cut := false; ; {
		part, err := b.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case cut: // the rest of a line that was handed on
		case full:
			line(string(part) + cutMark)
		case len(part) > 0:
			line(string(trimEnd(part)))
		}
		if err != nil && !full {
			return
		}
		cut = full
	}
}

func trimEnd(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}
