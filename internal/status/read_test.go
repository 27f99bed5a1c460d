// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/internal/child"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// The package cannot use what writes the ledgers of programs: this test can, and so sees
// where the two part.
func TestLedgersOfProgramsAreReadAsTheyAreWritten(t *testing.T) {
	at := time.Date(2026, 11, 20, 11, 58, 0, 0, time.UTC)
	written := child.Record{
		Kind: child.Kind, ExitCode: -1, Signal: "killed", Error: "no such file", Stopped: true, At: at, Pod: "p", Restarts: 3, Tail: []string{"one", "two"},
	}
	v := reflect.ValueOf(written)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("%s is not tried", v.Type().Field(i).Name)
		}
	}
	text, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	s := status.Of("g", "ns", []coordinationv1.Lease{{ObjectMeta: metav1.ObjectMeta{
		Name: "g.a", Labels: map[string]string{lease.LabelKind: lease.KindShard}, Annotations: map[string]string{lease.AnnotationLedger: string(text)},
	}}}, at)
	want := status.Exec{
		ExitCode: -1, Signal: "killed", Error: "no such file", Stopped: true, At: "2026-11-20T11:58:00Z", Pod: "p", Restarts: 3, Tail: []string{"one", "two"},
	}
	if got := s.Shards[0]; got.Kind != status.KindExec || !reflect.DeepEqual(*got.Exec, want) {
		t.Errorf("it is read as %q: %+v, want %+v", got.Kind, got.Exec, want)
	}
	if got := s.Shards[0].Exec.String(); got != written.String() {
		t.Errorf("for people it is %q, want %q", got, written)
	}
}
