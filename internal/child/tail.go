// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"slices"
	"sync"
)

const (
	maxTailLines     = 20
	maxTailBytes     = 2 << 10
	maxTailLineBytes = 256
)

// tail keeps the last lines that a program printed. The zero value is ready; it is safe for concurrent use.
type tail struct {
	mu    sync.Mutex
	kept  []string
	bytes int
}

func (t *tail) add(line string) {
	line = clean(line, maxTailLineBytes)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept, t.bytes = append(t.kept, line), t.bytes+len(line)
	for len(t.kept) > maxTailLines || t.bytes > maxTailBytes {
		t.bytes -= len(t.kept[0])
		t.kept = t.kept[1:]
	}
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.kept)
}
