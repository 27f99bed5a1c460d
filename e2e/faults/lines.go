// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"io"
	"sync"
)

// lines is a writer for several goroutines.
type lines struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}
