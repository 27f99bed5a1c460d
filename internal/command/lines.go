// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"io"
	"time"

	"github.com/shardctl/shardctl/internal/status"
)

// lines shows a group as it changes where there is no terminal: a line for each
// change.
type lines struct {
	out    io.Writer
	before *status.Status // nil at first
	lost   bool
}

func (l *lines) show(v view) (enough bool, err error) {
	news := status.Describe(v.Status)
	if l.before != nil {
		news = status.Changes(*l.before, v.Status)
	}
	l.before = &v.Status
	if connection := connectionNews(l.lost, v.lost); connection != "" {
		news = append(news, connection)
	}
	l.lost = v.lost != nil
	at := time.Now().UTC().Format(time.RFC3339)
	for _, line := range news {
		if _, err := fmt.Fprintln(l.out, at, line); err != nil {
			return false, fmt.Errorf("printing the status: %w", err)
		}
	}
	return false, nil
}

// connectionNews is what to say when the connection is lost or comes back; empty
// while it stays as it was.
func connectionNews(wasLost bool, lost error) string {
	switch {
	case lost != nil && !wasLost:
		return fmt.Sprintf("connection lost, trying again: %v", lost)
	case lost == nil && wasLost:
		return "connected again"
	}
	return ""
}
