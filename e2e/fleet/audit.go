// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// podNameExtra is where the API server notes which Pod a bound token belongs to.
const podNameExtra = "authentication.kubernetes.io/pod-name"

// Write is a request to change something that the API server has answered.
type Write struct {
	User        string
	Pod         string // the one that the user's token is bound to; empty if to none
	Verb        string // create, update, patch, delete or deletecollection
	Group       string // of the API
	Resource    string
	Subresource string
	Namespace   string
	Name        string // empty for deletecollection
	Code        int    // the HTTP status of the answer
	Received    time.Time
	Answered    time.Time
}

// OK says whether the API server has done it.
func (w Write) OK() bool { return w.Code >= 200 && w.Code < 300 }

// AuditLog reads an API server's audit log as it grows. It is for one goroutine.
type AuditLog struct {
	path   string
	offset int64
}

// NewAuditLog reads from the beginning of the file; see controlplane.ControlPlane.AuditLogPath.
func NewAuditLog(path string) *AuditLog { return &AuditLog{path: path} }

// auditEvent is what is used of an Event of audit.k8s.io/v1.
type auditEvent struct {
	Stage string `json:"stage"`
	Verb  string `json:"verb"`
	User  struct {
		Username string              `json:"username"`
		Extra    map[string][]string `json:"extra"`
	} `json:"user"`
	ObjectRef struct {
		APIGroup    string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Received time.Time `json:"requestReceivedTimestamp"`
	Stamp    time.Time `json:"stageTimestamp"`
}

// Next returns the writes that were answered since the last call, in the order of their answers.
func (a *AuditLog) Next() ([]Write, error) {
	text, err := a.readNew()
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1] // the last line may not be complete yet
	a.offset += int64(len(text))
	var writes []Write
	for line := range bytes.Lines(text) {
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return writes, fmt.Errorf("audit log %s: %w", a.path, err)
		}
		if e.Stage == "ResponseComplete" && slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, e.Verb) {
			writes = append(writes, e.write())
		}
	}
	return writes, nil
}

func (a *AuditLog) readNew() ([]byte, error) {
	file, err := os.Open(a.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(a.offset, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

func (e *auditEvent) write() Write {
	w := Write{
		User: e.User.Username, Verb: e.Verb,
		Group: e.ObjectRef.APIGroup, Resource: e.ObjectRef.Resource, Subresource: e.ObjectRef.Subresource,
		Namespace: e.ObjectRef.Namespace, Name: e.ObjectRef.Name,
		Code: e.ResponseStatus.Code, Received: e.Received, Answered: e.Stamp,
	}
	if pods := e.User.Extra[podNameExtra]; len(pods) == 1 {
		w.Pod = pods[0]
	}
	return w
}
