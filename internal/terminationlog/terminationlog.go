// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package terminationlog writes to the file whose content the kubelet puts into
// the status of a Pod when one of its containers has ended
// (https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/).
//
// It only ever appends: several groups may be at work in one process. It never
// makes a file: what is not there, nobody would read. It is tested with files.
package terminationlog

import (
	"fmt"
	"os"
	"strings"
)

const (
	// Default is where the kubelet looks unless a container's
	// terminationMessagePath says otherwise.
	Default = "/dev/termination-log"
	// Off in place of a path says that nothing is to be written.
	Off = "-"
	// MaxBytes bounds one text. The kubelet keeps the last 4 KiB of a file, and
	// the first of these where a Pod with several containers has more than
	// 12 KiB of them: with a line or two before it, a text of this length is
	// kept in full in Pods of up to eight containers.
	MaxBytes = 1024
)

// Append adds a text, as one or more whole lines, to the file at path; of a
// longer one than MaxBytes only the beginning. It does nothing if path is Off. If
// there is no such file, the error is an [os.ErrNotExist].
func Append(path, text string) error {
	if path == Off {
		return nil
	}
	// A FIFO would block until somebody reads it.
	if info, err := os.Stat(path); err != nil {
		return fmt.Errorf("termination message: %w", err)
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("termination message: %s is not a regular file: name the container's terminationMessagePath, or %s for none", path, Off)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("termination message: %w", err)
	}
	_, err = file.WriteString(shorten(text))
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("termination message: %w", err)
	}
	return nil
}

// shorten makes whole lines of at most MaxBytes.
func shorten(text string) string {
	text = strings.TrimRight(text, "\n")
	if len(text) >= MaxBytes {
		text = strings.ToValidUTF8(text[:MaxBytes-1], "") // the cut may split a character
	}
	return text + "\n"
}
