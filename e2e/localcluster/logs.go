// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// serveLogs sends what a container has written since it was started first, or the last lines of that; it goes on while the Pod is
// there if that is asked for. Other options of `kubectl logs` are not known here.
func (k *kubelet) serveLogs(w http.ResponseWriter, r *http.Request) {
	pod, err := k.find(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	log, err := os.Open(filepath.Join(pod.logs, filepath.Base(r.PathValue("container"))+".log"))
	if err != nil {
		http.Error(w, "the container has not been started: "+err.Error(), http.StatusBadRequest)
		return
	}
	defer func() { _ = log.Close() }()
	if lines, err := strconv.Atoi(r.FormValue("tailLines")); err == nil {
		if err := seekLines(log, lines); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	follow, _ := strconv.ParseBool(r.FormValue("follow"))
	for {
		if _, err := io.Copy(w, log); err != nil || !follow || pod.leaving.Err() != nil {
			return
		}
		_ = http.NewResponseController(w).Flush() // an error comes with the next write
		if !pause(r.Context(), followPoll) {
			return
		}
	}
}

// seekLines moves to where so many lines are left.
func seekLines(log *os.File, lines int) error {
	var starts []int64 // of the last lines
	offset := int64(0)
	reader := bufio.NewReader(log)
	for {
		text, err := reader.ReadString('\n')
		if text != "" {
			starts = append(starts, offset)
			starts = starts[max(0, len(starts)-lines):]
		}
		offset += int64(len(text))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if len(starts) > 0 {
		offset = starts[0]
	}
	_, err := log.Seek(offset, io.SeekStart)
	return err
}
