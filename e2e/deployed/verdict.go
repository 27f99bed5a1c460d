// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/e2e/durations"
	"github.com/shardctl/shardctl/e2e/oracle"
)

// testHistory judges everything that has happened since the cluster was made.
func (s *suite) testHistory(t *testing.T) {
	s.load.stop()
	eventually(t, "every object is as its last change wants it", s.allReconciled)
	end := s.revision(t)
	s.awaitSeen(t, end)
	changes := changesIn(s.recorder.Events(), 0, end)
	changes.expectEpochs(t)

	logs, err := s.AuditLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	history, err := oracle.Attribute(t.Context(), s.recorder, oracle.NewAudit(logs...), end)
	if err != nil {
		t.Fatal(err)
	}
	verdict := oracle.Judge(s.rules(), history, oracle.Window{To: end})
	if err := verdict.Err(); err != nil {
		t.Error(err)
	}
	if err := verdict.Proved(); err != nil {
		t.Error(err)
	}
	t.Logf("%d writes of replicas were judged, %d were refused by the API server; shards changed hands %d times; from the last write of one holder to the first of the next: %s",
		verdict.Writes, verdict.Refused, len(verdict.TakeOvers), quantiles(oracle.Lengths(verdict.WriteGaps)))
}

func quantiles(of []time.Duration) string {
	const median, most = 0.5, 1
	return fmt.Sprintf("%s in the median, %s at most", durations.Quantile(of, median).Round(time.Millisecond), durations.Quantile(of, most).Round(time.Millisecond))
}

// rules are what the oracle judges by.
func (s *suite) rules() oracle.Config {
	config := oracle.Config{Group: name, Namespace: namespace, Objects: []string{objectsNamespace}}
	for _, o := range s.types {
		config.Types = append(config.Types, oracle.TypeRule{
			Resource: o.GroupResource(), Kind: o.kind, Children: []schema.GroupResource{configMaps.GroupResource()},
		})
	}
	return config
}
