// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	// crewAccount is the service account of all replicas of a fleet, which grants it what it needs.
	crewAccount = "shardctl"
	// burstsPoll is how often what the replicas note is read. No figure depends on it.
	burstsPoll = 20 * time.Millisecond
	crewLimit  = 2 * time.Minute
)

// crew is a group of replicas with one contender's controller, and the trigger that has them reconcile all items.
type crew struct {
	*fleet.Fleet
	cp      *controlplane.ControlPlane
	client  dynamic.Interface
	name    string
	items   int
	args    []string
	members []*member
	rounds  int
}

// member is one replica: a process, its Pod and token.
type member struct {
	name    string
	process *fleet.Process
	bursts  string // the file
	offset  int64  // in it, of what has not been read
	noted   []burst
}

// crew makes one without a replica. All get the same arguments.
func (b *bench) crew(ctx context.Context, name string, args ...string) (*crew, error) {
	client, err := b.installItems(ctx)
	if err != nil {
		return nil, err
	}
	f, err := fleet.New(ctx, fleet.Options{
		Cluster: b.cp, Binary: "unused", Config: configuration(name, itemsResource, triggersResource), LayoutRecord: true, Dir: filepath.Join(b.dir, name),
	})
	if err != nil {
		return nil, err
	}
	trigger := object(triggerKind, name)
	if _, err := client.Resource(triggersResource).Namespace(itemsNamespace).Create(ctx, trigger, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	return &crew{Fleet: f, cp: b.cp, client: client, name: name, items: b.items(), args: args}, nil
}

// join starts one more replica.
func (c *crew) join(ctx context.Context) error {
	name := fmt.Sprintf("%s-%d", c.name, len(c.members))
	pod, err := c.cp.NewReplica(ctx, controlplane.ReplicaOptions{Namespace: c.Namespace(), Name: name, ServiceAccount: crewAccount})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the program that replicas run: %w", err)
	}
	m := &member{name: name, bursts: filepath.Join(c.LogDir(), name+".bursts")}
	args := append([]string{
		"reconcile", "--kubeconfig=" + pod.Kubeconfig, "--group=" + c.name, "--trigger=" + c.name,
		fmt.Sprintf("--items=%d", c.items), "--bursts=" + m.bursts,
	}, c.args...)
	env := []string{"POD_NAME=" + name, "POD_UID=" + string(pod.UID), "POD_NAMESPACE=" + c.Namespace()}
	if m.process, err = fleet.StartProcess(self, args, env, filepath.Join(c.LogDir(), name+".log")); err != nil {
		return err
	}
	c.members = append(c.members, m)
	return nil
}

// dismiss ends the replicas.
func (c *crew) dismiss() error {
	var errs []error
	for _, m := range c.members {
		errs = append(errs, m.process.Kill())
	}
	return errors.Join(errs...)
}

// begin starts the only replica of a crew, and waits until it has reconciled all items once, as all do at their start.
func (c *crew) begin(ctx context.Context) error {
	if err := c.join(ctx); err != nil {
		return err
	}
	_, err := c.await(ctx, time.Time{}, c.items)
	return err
}

// fanOut changes the trigger, and returns what each replica has reconciled for that, once it was every item.
func (c *crew) fanOut(ctx context.Context) ([]burst, error) {
	c.rounds++
	began := time.Now()
	if err := touch(ctx, c.client, triggersResource, c.name, fmt.Sprint(c.rounds)); err != nil {
		return nil, err
	}
	return c.await(ctx, began, c.items)
}

// await waits until the replicas have reconciled so many different items together, in bursts that began after a moment, and all
// of them are done; it returns what each has. So nothing is cut off that a replica reconciles more than once.
func (c *crew) await(ctx context.Context, since time.Time, items int) ([]burst, error) {
	var all []burst
	seen, calm := 0, 0
	err := wait.PollUntilContextTimeout(ctx, burstsPoll, crewLimit, true, func(context.Context) (_ bool, err error) {
		var busy bool
		if all, busy, err = c.look(since); err != nil {
			return false, err
		}
		seen = together(all).Items.len()
		if seen < items || busy {
			calm = 0
			return false, nil
		}
		calm++
		return calm > c.calmLooks(), nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: waited at most %s for %d items to be reconciled, saw %d: %w; the logs are in %s", c.name, crewLimit, items, seen, err, c.LogDir())
	}
	return all, nil
}

// calmLooks is how often the replicas have to be seen at rest once more: one that has begun something says so a tick later. Of a
// single replica the burst would not have ended.
func (c *crew) calmLooks() int {
	if len(c.members) == 1 {
		return 0
	}
	return int(2*burstTick/burstsPoll) + 1
}

// look is what each replica has reconciled in bursts that began after a moment and are over, and whether any goes on.
func (c *crew) look(since time.Time) (all []burst, busy bool, err error) {
	for _, m := range c.members {
		if !m.process.Running() {
			return nil, false, fmt.Errorf("%s has ended by itself", m.name)
		}
		if err := m.read(); err != nil {
			return nil, false, err
		}
		if one := m.since(since); one.Reconciles > 0 {
			all = append(all, one)
		}
		busy = busy || m.busy()
	}
	return all, busy, nil
}

// since is everything that the replica has noted of bursts that began after a moment, and are over.
func (m *member) since(moment time.Time) burst {
	var all burst
	for _, one := range m.noted {
		if one.Reconciles > 0 && one.First.After(moment) {
			all = all.and(one)
		}
	}
	return all
}

// busy tells whether a burst goes on.
func (m *member) busy() bool { return len(m.noted) > 0 && m.noted[len(m.noted)-1].Reconciles == 0 }

// idle tells whether the replica has reconciled something, and nothing now.
func (m *member) idle() bool { return len(m.noted) > 0 && !m.busy() }

// read adds what was noted since the last time: what reads it is on the machine that is measured, and has to do little.
func (m *member) read() error {
	file, err := os.Open(m.bursts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it may not have come that far
	}
	if err != nil {
		return fmt.Errorf("bursts of %s: %w", m.name, err)
	}
	defer file.Close()
	if _, err := file.Seek(m.offset, io.SeekStart); err != nil {
		return fmt.Errorf("bursts of %s: %w", m.name, err)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("bursts of %s: %w", m.name, err)
	}
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var one burst
		if err := json.Unmarshal(line, &one); err != nil {
			return fmt.Errorf("bursts of %s: %q: %w", m.name, line, err)
		}
		m.noted, m.offset = append(m.noted, one), m.offset+int64(len(line))
	}
	return nil
}

// together is what several replicas have done as one.
func together(all []burst) burst {
	var one burst
	for _, b := range all {
		one = one.and(b)
	}
	return one
}
