// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// removePartialLine cuts off what follows the last newline: a server that is killed may have written half of a line, and would
// append the next one to it. A file that does not exist has none.
func removePartialLine(path string) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	const most = 4096
	for buffer := make([]byte, most); end > 0; {
		part := buffer[:min(most, end)]
		if _, err := file.ReadAt(part, end-int64(len(part))); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return file.Truncate(end - int64(len(part)-i-1))
		}
		end -= int64(len(part))
	}
	return file.Truncate(0)
}
