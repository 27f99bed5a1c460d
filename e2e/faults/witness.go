// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/faults/workload"
	"github.com/shardctl/shardctl/e2e/oracle"
)

// witness sees everything that happens on one control plane, and judges it.
type witness struct {
	recorder *oracle.Recorder
	audit    *oracle.Audit
}

// witnessLimit bounds the wait for what the oracle has yet to see.
const witnessLimit = time.Minute

func newWitness(ctx context.Context, cp *controlplane.ControlPlane) (*witness, error) {
	recorder, err := oracle.Start(ctx, oracle.Options{Endpoints: []string{cp.EtcdEndpoint()}, TLS: cp.EtcdTLS()})
	if err != nil {
		return nil, err
	}
	return &witness{recorder: recorder, audit: oracle.NewAudit(cp.AuditLogPaths()...)}, nil
}

func (w *witness) close() error { return w.recorder.Stop() }

// await waits until the recorder has seen everything up to a revision.
func (w *witness) await(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, witnessLimit)
	defer cancel()
	return w.recorder.WaitFor(ctx, revision)
}

// history is everything that has happened up to a revision.
func (w *witness) history(ctx context.Context, to int64) (oracle.History, error) {
	ctx, cancel := context.WithTimeout(ctx, witnessLimit)
	defer cancel()
	return oracle.Attribute(ctx, w.recorder, w.audit, to)
}

// judge looks at what a group's replicas have written in the window of one run. What must not be is reported at once, unless
// the group is the control.
func judge(g *group, h oracle.History, o outcome, report io.Writer) Row {
	config := oracle.Config{Group: g.name, Namespace: g.name}
	for _, t := range g.types {
		config.Types = append(config.Types, oracle.TypeRule{
			Resource: t.GroupResource(), Kind: t.Kind, Partition: t.Partition, Children: []schema.GroupResource{workload.ConfigMaps.GroupResource()},
		})
	}
	verdict := oracle.Judge(config, h, oracle.Window{From: o.from, To: o.to, Fault: o.injected})
	if err := verdict.Err(); err != nil && !g.kind.Control {
		fmt.Fprintf(report, "%s, run %d of group %s: %v\n", g.kind.Name, o.number+1, g.name, err)
	}
	return Row{
		Writes: verdict.Writes, TakeOvers: len(verdict.TakeOvers), RefusedByServer: verdict.Refused, Overlapping: len(verdict.Overlapping),
		Unattributed: len(verdict.Unattributed), ByOwnWord: verdict.ByOwnWord + verdict.ByRequest, Gaps: oracle.Lengths(verdict.WriteGaps),
	}
}
