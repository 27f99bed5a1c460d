// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// What of a log goes into an error or a test's output: the last lines, and of those not more than a screen.
const (
	tailLines = 15
	tailBytes = 4096
)

// tail returns the last lines of a log file, or why there are none.
func tail(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := file.Seek(-tailBytes, io.SeekEnd); err != nil {
			return fmt.Sprintf("(%v)", err)
		}
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return "(it is empty)"
	}
	lines := bytes.Split(text, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-tailLines):], []byte("\n")))
}
