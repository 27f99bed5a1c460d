// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// writers knows which replica wrote an object's status last. A hook cannot say it: it is not told who asks.
type writers interface {
	// title says what is known, and from where.
	title() string
	// update is called before lastOf, to have the latest.
	update(ctx context.Context) error
	// lastOf returns the Pod that wrote the status of an object last; empty if none has.
	lastOf(t exampleType, name string) string
	// awaitWrite waits until another Pod than this one has written a status of the type after that time, and returns when it
	// had; false if that is not to be known.
	awaitWrite(ctx context.Context, t exampleType, not string, after time.Time) (time.Time, bool, error)
}

func (d *demo) chooseWriters() writers {
	if d.cp == nil {
		return &holders{fleet: d.fleet, byShard: map[string]string{}}
	}
	return &audited{log: fleet.NewAuditLog(d.cp.AuditLogPath()), last: map[objectKey]string{}}
}

const (
	auditPoll    = 50 * time.Millisecond
	writeTimeout = 30 * time.Second
)

type objectKey struct {
	resource, name string
}

// audited asks the API server's audit log, which has the Pod of every request's token.
type audited struct {
	log    *fleet.AuditLog
	last   map[objectKey]string
	writes []fleet.Write
}

func (a *audited) title() string { return "Who wrote their status last, by the API server's audit log" }

func (a *audited) update(context.Context) error {
	writes, err := a.log.Next()
	for _, w := range writes {
		if w.Pod != "" && w.Subresource == "status" && w.OK() {
			a.last[objectKey{w.Resource, w.Name}] = w.Pod
			a.writes = append(a.writes, w)
		}
	}
	return err
}

func (a *audited) lastOf(t exampleType, name string) string {
	return a.last[objectKey{t.resource.Resource, name}]
}

func (a *audited) awaitWrite(ctx context.Context, t exampleType, not string, after time.Time) (time.Time, bool, error) {
	var wrote time.Time
	err := wait.PollUntilContextTimeout(ctx, auditPoll, writeTimeout, true, func(ctx context.Context) (bool, error) {
		if err := a.update(ctx); err != nil {
			return false, err
		}
		i := slices.IndexFunc(a.writes, func(w fleet.Write) bool {
			return w.Resource == t.resource.Resource && w.Pod != not && w.Answered.After(after)
		})
		if i >= 0 {
			wrote = a.writes[i].Answered
		}
		return i >= 0, nil
	})
	if err != nil {
		return wrote, false, fmt.Errorf("waited %v for another replica than %s to write a status of %s, but the audit log has none: %w",
			writeTimeout, not, t.resource.Resource, err)
	}
	return wrote, true, nil
}

// holders makes do with who holds a type's shard at this moment, where there is no audit log.
type holders struct {
	fleet   *fleet.Fleet
	byShard map[string]string
}

func (h *holders) title() string {
	return "Who holds their type now, by its Lease; no audit log says who wrote them"
}

func (h *holders) update(ctx context.Context) error {
	status, err := h.fleet.Status(ctx)
	for _, shard := range status.Shards {
		h.byShard[shard.Name], _ = fleet.HolderOf(status, shard.Name)
	}
	return err
}

func (h *holders) lastOf(t exampleType, _ string) string { return h.byShard[t.shard()] }

func (h *holders) awaitWrite(context.Context, exampleType, string, time.Time) (time.Time, bool, error) {
	return time.Time{}, false, nil
}

// awaitReconciled waits until every object is reconciled at its last generation, and says so.
func (d *demo) awaitReconciled(ctx context.Context) error {
	if err := d.objects.awaitReconciled(ctx); err != nil {
		return d.withStatus(ctx, err)
	}
	d.stepf("Every one of the %d x %d objects is reconciled at its last generation.", len(d.example.types), objectsOfType)
	return nil
}

// printWriters shows which replicas have reconciled the objects.
func (d *demo) printWriters(ctx context.Context) error {
	if err := d.writers.update(ctx); err != nil {
		return err
	}
	d.linef("%s:", d.writers.title())
	rows := [][]string{{"TYPE", "OBJECTS", "BY"}}
	for _, t := range d.example.types {
		by, err := d.writersOf(t)
		if err != nil {
			return err
		}
		rows = append(rows, []string{t.resource.Resource, fmt.Sprint(objectsOfType), by})
	}
	return d.table(rows)
}

// writersOf lists who wrote the objects of a type, and how many of them.
func (d *demo) writersOf(t exampleType) (string, error) {
	counts := map[string]int{}
	for i := range objectsOfType {
		pod := d.writers.lastOf(t, objectName(i))
		if pod == "" {
			return "", fmt.Errorf("%s %s is reconciled, but it is not known by whom", t.kind, objectName(i))
		}
		counts[pod]++
	}
	var by []string
	for _, pod := range slices.Sorted(maps.Keys(counts)) {
		by = append(by, fmt.Sprintf("%s (%d)", pod, counts[pod]))
	}
	return strings.Join(by, ", "), nil
}
