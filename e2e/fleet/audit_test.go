// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const (
	podWrites = `{"stage":"ResponseComplete","verb":"update","user":{"username":"system:serviceaccount:space:shardctl",` +
		`"extra":{"authentication.kubernetes.io/pod-name":["a"]}},"objectRef":{"resource":"widgets","namespace":"space","name":"w",` +
		`"apiGroup":"demo.shardctl.dev","subresource":"status"},"responseStatus":{"code":409},` +
		`"requestReceivedTimestamp":"2026-01-02T03:04:05.000001Z","stageTimestamp":"2026-01-02T03:04:05.000002Z"}` + "\n"
	adminWrites = `{"stage":"ResponseComplete","verb":"create","user":{"username":"admin"},"objectRef":{"resource":"pods"},"responseStatus":{"code":201}}` + "\n"
	reads       = `{"stage":"ResponseComplete","verb":"list","user":{"username":"admin"},"responseStatus":{"code":200}}` + "\n"
	started     = `{"stage":"ResponseStarted","verb":"delete","user":{"username":"admin"}}` + "\n"
)

func TestAuditLogReturnsEachWriteOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := NewAuditLog(path)
	if _, err := log.Next(); err == nil {
		t.Error("a log that is not there was read")
	}
	byPod := Write{
		User: "system:serviceaccount:space:shardctl", Pod: "a", Verb: "update",
		Group: "demo.shardctl.dev", Resource: "widgets", Subresource: "status", Namespace: "space", Name: "w", Code: 409,
		Received: time.Date(2026, 1, 2, 3, 4, 5, 1000, time.UTC), Answered: time.Date(2026, 1, 2, 3, 4, 5, 2000, time.UTC),
	}
	byAdmin := Write{User: "admin", Verb: "create", Resource: "pods", Code: 201}
	half := len(adminWrites) / 2
	for _, step := range []struct {
		name, grows string
		want        []Write
	}{
		{"reads only", reads + started, nil},
		{"a write, and half of one", podWrites + adminWrites[:half], []Write{byPod}},
		{"the other half", adminWrites[half:], []Write{byAdmin}},
		{"nothing", "", nil},
	} {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(step.grows); err != nil {
			t.Fatal(err)
		}
		file.Close()
		if got, err := log.Next(); err != nil || !slices.Equal(got, step.want) {
			t.Errorf("%s: Next returned %+v, %v; want %+v", step.name, got, err, step.want)
		}
	}
	if byPod.OK() || !byAdmin.OK() {
		t.Error("a conflict counts as done, or a creation does not")
	}
}
