// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// printer writes what the newcomer reads.
type printer struct {
	out   io.Writer
	began time.Time
}

func newPrinter(out io.Writer) *printer { return &printer{out: out, began: time.Now()} }

// stepf says what happens next, and when that is.
func (p *printer) stepf(format string, args ...any) {
	fmt.Fprintf(p.out, "\n[%.1fs] %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// linef adds to the last step.
func (p *printer) linef(format string, args ...any) {
	fmt.Fprintf(p.out, format+"\n", args...)
}

// block indents a text of several lines.
func (p *printer) block(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprint(p.out, strings.TrimRight("    "+line, " \n")+"\n")
	}
}

// table prints rows of equal length, the first of which is the heading.
func (p *printer) table(rows [][]string) error {
	var text strings.Builder
	tabs := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(tabs, strings.Join(row, "\t"))
	}
	if err := tabs.Flush(); err != nil {
		return err
	}
	p.block(text.String())
	return nil
}

// seconds is a duration to a hundredth of a second, which is about as exact as what is measured here.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }
