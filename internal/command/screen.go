// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
)

// redrawPause keeps a busy group from being redrawn more often than anybody can
// read.
const redrawPause = 200 * time.Millisecond

// What is sent to the terminal: the control sequences of xterm, which all others
// in use know.
const (
	alternateScreen = "\x1b[?1049h"
	normalScreen    = "\x1b[?1049l"
	hideCursor      = "\x1b[?25l"
	showCursor      = "\x1b[?25h"
	home            = "\x1b[H"
	clearToLineEnd  = "\x1b[K"
	clearToEnd      = "\x1b[J"
)

// screen shows a group in a terminal, in place.
type screen struct {
	out  io.Writer
	size func() (width, height int, err error)
	wide bool
}

// terminal returns a screen if that is what is written to.
func terminal(out io.Writer) (*screen, bool) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, false
	}
	return &screen{out: out, size: func() (int, int, error) { return term.GetSize(int(file.Fd())) }}, true
}

// open leaves what the terminal shows alone; close brings it back.
func (s *screen) open()  { fmt.Fprint(s.out, alternateScreen+hideCursor) }
func (s *screen) close() { fmt.Fprint(s.out, showCursor+normalScreen) }

func (s *screen) show(v view) (enough bool, err error) {
	width, height, err := s.size() // each time: windows are resized
	if err != nil {
		return false, fmt.Errorf("size of the terminal: %w", err)
	}
	var text bytes.Buffer
	if v.lost != nil {
		fmt.Fprintf(&text, "Connection lost %s ago, trying again: %v\n", time.Since(v.at).Round(time.Second), v.lost)
	}
	if err := v.Print(&text, s.wide, v.at); err != nil {
		return false, err
	}
	// In one write, so that nobody sees half of it.
	if _, err := io.WriteString(s.out, frame(text.String(), width, height)); err != nil {
		return false, fmt.Errorf("drawing the status: %w", err)
	}
	return false, nil
}

// frame draws a text over the last one, cut to the size of the window; not where
// that is 0, as it is told by terminals that do not know. The last column stays
// free: what terminals do after a character there differs.
func frame(text string, width, height int) string {
	rows := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if more := len(rows) - height; more > 0 && height > 0 {
		rows = append(rows[:height-1:height-1], fmt.Sprintf("... %d more", more+1))
	}
	for i, row := range rows {
		runes := []rune(strings.Map(printable, strings.TrimRight(row, " ")))
		if width > 0 {
			runes = runes[:min(len(runes), width-1)]
		}
		rows[i] = string(runes) + clearToLineEnd
	}
	// No line end after the last row: it would scroll the first one away.
	return home + strings.Join(rows, "\n") + clearToEnd
}

// printable keeps what members report from controlling the terminal.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}
