// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/fence"
)

// Audit is what the API servers' audit logs, of level RequestResponse, say about writes. Its methods may be called from several
// goroutines.
type Audit struct {
	mu      sync.Mutex
	logs    []*auditLog
	stored  map[version][]Writer   // who got this version of an object as the answer
	deleted map[types.UID][]Writer // who got the answer that an object is deleted
	doubted map[Key][]request      // requests that may have been carried out
	open    map[types.UID]Key      // where in doubted those are that have not been answered
	refused []Refusal
}

// version is one of an object: the resourceVersion is etcd's revision.
type version struct {
	uid      types.UID
	revision int64
}

// Refusal is a write that the fence in the API server has refused.
type Refusal struct {
	At        time.Time // when it was answered
	Writer    Writer
	Resource  schema.GroupResource
	Namespace string
	Message   string
}

// NewAudit reads the audit logs at these paths, of API servers that share an etcd, once Read is called.
func NewAudit(paths ...string) *Audit {
	a := &Audit{
		stored: map[version][]Writer{}, deleted: map[types.UID][]Writer{},
		doubted: map[Key][]request{}, open: map[types.UID]Key{},
	}
	for _, path := range paths {
		a.logs = append(a.logs, &auditLog{path: path})
	}
	return a
}

// Read reads what the logs have got since it was last called. A log that is not there yet is empty.
func (a *Audit) Read() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, log := range a.logs {
		if err := log.read(a.take); err != nil {
			return fmt.Errorf("audit log %s: %w", log.path, err)
		}
	}
	return nil
}

// auditLog is a file that grows.
type auditLog struct {
	path   string
	offset int64 // behind the last whole line that was read
}

const readBuffer = 1 << 20

func (l *auditLog) read(take func(*auditEvent) error) error {
	file, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Seek(l.offset, io.SeekStart); err != nil {
		return err
	}
	for lines := bufio.NewReaderSize(file, readBuffer); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what has no end of line yet is being written, or is cut off if the API server was killed
		}
		if err != nil {
			return err
		}
		l.offset += int64(len(line))
		event, err := parseAuditLine(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			return err
		}
		if event == nil {
			continue
		}
		if err := take(event); err != nil {
			return err
		}
	}
}

// take files one entry under what it may explain.
func (a *Audit) take(e *auditEvent) error {
	if e.Stage == stageReceived {
		a.open[e.AuditID] = e.key()
		a.doubt(e, time.Time{})
		return nil
	}
	a.close(e.AuditID)
	switch {
	case e.succeeded():
		return a.takeAnswer(e)
	case strings.Contains(e.ResponseStatus.Message, fence.MessagePrefix):
		a.refused = append(a.refused, Refusal{
			At: e.Stamp.Time, Writer: e.writer(), Resource: e.key().Resource, Namespace: e.ObjectRef.Namespace, Message: e.ResponseStatus.Message,
		})
	case e.mayHaveWritten():
		a.doubt(e, e.Stamp.Time)
	}
	return nil
}

func (a *Audit) doubt(e *auditEvent, until time.Time) {
	key := e.key()
	a.doubted[key] = append(a.doubted[key], request{id: e.AuditID, writer: e.writer(), deletes: e.deletes(), from: e.Received.Time, until: until})
}

// close forgets that a request was not answered.
func (a *Audit) close(id types.UID) {
	key, ok := a.open[id]
	if !ok {
		return
	}
	delete(a.open, id)
	kept := a.doubted[key][:0]
	for _, r := range a.doubted[key] {
		if r.id != id {
			kept = append(kept, r)
		}
	}
	if a.doubted[key] = kept; len(kept) == 0 {
		delete(a.doubted, key)
	}
}

// takeAnswer reads what was stored or deleted out of the answer.
func (a *Audit) takeAnswer(e *auditEvent) error {
	if len(e.ResponseObject) == 0 {
		return nil // without a body, as of a proxied connection
	}
	var answer answered
	if err := json.Unmarshal(e.ResponseObject, &answer); err != nil {
		return fmt.Errorf("answer to %s of %s: %w", e.Verb, e.key(), err)
	}
	writer := e.writer()
	if answer.Details.UID != "" {
		a.deleted[answer.Details.UID] = append(a.deleted[answer.Details.UID], writer)
	}
	a.takeObject(e, &answer.Metadata, writer)
	for i := range answer.Items {
		a.takeObject(e, &answer.Items[i].Metadata, writer)
	}
	return nil
}

// takeObject takes an object that was written. It was deleted as well if nothing kept it: that is so of a delete whose answer
// is the object, and of the update that takes the last finalizer off.
func (a *Audit) takeObject(e *auditEvent, o *metav1.ObjectMeta, writer Writer) {
	if o.UID == "" {
		return
	}
	kept := len(o.Finalizers) > 0 || o.DeletionGracePeriodSeconds != nil && *o.DeletionGracePeriodSeconds > 0
	if !kept && (e.deletes() || o.DeletionTimestamp != nil) {
		a.deleted[o.UID] = append(a.deleted[o.UID], writer)
	}
	if revision, err := strconv.ParseInt(o.ResourceVersion, 10, 64); err == nil {
		v := version{o.UID, revision}
		a.stored[v] = append(a.stored[v], writer)
	}
}
