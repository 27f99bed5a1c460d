// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// timings of all groups; "fast" in the configurations.
var timings = lease.Fast

// hookTimeout is longer than anything that a test has a hook wait for.
const hookTimeout = time.Minute

// role is the configuration of a role that reconciles one type through a hook.
type role struct {
	resourceType
	hook map[string]any
	// attach says that the hook may attach ConfigMaps, and finalize that it is asked about objects that are deleted.
	attach, finalize bool
	// buckets is how many shards the type is divided into, and partition how; the defaults if they are zero.
	buckets   int
	partition lease.Partition
}

func (r role) configuration() map[string]any {
	hooks := map[string]any{"sync": r.hook}
	if r.finalize {
		hooks["finalize"] = r.hook
	}
	decorator := map[string]any{
		"resources": []any{map[string]any{"apiVersion": r.GroupVersion().String(), "resource": r.Resource}},
		"hooks":     hooks,
	}
	if r.attach {
		decorator["attachments"] = []any{map[string]any{
			"apiVersion": "v1", "resource": "configmaps", "updateStrategy": map[string]any{"method": "InPlace"},
		}}
	}
	configured := map[string]any{"name": r.Resource, "decorator": decorator}
	if r.buckets > 0 {
		configured["buckets"] = r.buckets
	}
	if r.partition != "" {
		configured["partition"] = string(r.partition)
	}
	return configured
}

// rolesFor makes a role of each type, with one hook for all.
func rolesFor(hook map[string]any, types ...resourceType) []role {
	roles := make([]role, len(types))
	for i, r := range types {
		roles[i] = role{resourceType: r, hook: hook}
	}
	return roles
}

// webhook is a hook that is called over HTTP.
func webhook(h *hookServer, timeout time.Duration) map[string]any {
	return map[string]any{"webhook": map[string]any{"url": h.URL, "timeout": timeout.String()}}
}

// execHook is a hook that is a program: this one, see runExecHook.
func execHook(h *hookServer, timeout time.Duration) map[string]any {
	return map[string]any{"exec": map[string]any{
		"command": []any{os.Args[0]},
		"env":     []any{map[string]any{"name": execHookEnv, "value": h.URL}},
		"timeout": timeout.String(),
	}}
}

// deployment is a group that is installed in the cluster of a test.
type deployment struct {
	*fleet.Fleet
	cluster *cluster
}

// configuration is a file with the roles.
func (c *cluster) configuration(t *testing.T, roles ...role) []byte {
	t.Helper()
	configured := make([]any, len(roles))
	for i, r := range roles {
		configured[i] = r.configuration()
	}
	configuration, err := yaml.Marshal(map[string]any{
		"apiVersion": "shardctl.dev/v1alpha1",
		"kind":       "Configuration",
		"metadata":   map[string]any{"name": c.group},
		"spec": map[string]any{
			"namespace": c.namespace,
			"timings":   map[string]any{"preset": "fast"},
			"http":      map[string]any{"address": "127.0.0.1:0"},
			"roles":     configured,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return configuration
}

// deploy installs the group, without any replica yet.
func (c *cluster) deploy(t *testing.T, roles ...role) *deployment {
	t.Helper()
	return &deployment{cluster: c, Fleet: fleet.Start(t, fleet.Options{
		Cluster: controlPlane, Binary: binary, Config: c.configuration(t, roles...), LayoutRecord: true,
		Env: []string{"GORACE=" + os.Getenv("GORACE")},
	})}
}

// launch starts replicas, one after the other.
func (d *deployment) launch(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		d.launchWith(t, name)
	}
}

// launchWith starts a replica with more arguments.
func (d *deployment) launchWith(t *testing.T, name string, args ...string) {
	t.Helper()
	d.launchPod(t, fleet.Pod{Name: name}, args...)
}

// launchPod starts a replica. A data race in it fails the test.
func (d *deployment) launchPod(t *testing.T, pod fleet.Pod, args ...string) {
	t.Helper()
	if _, err := d.LaunchPod(t.Context(), pod, args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log := d.log(t, pod.Name); strings.Contains(log, "DATA RACE") {
			t.Errorf("replica %s has data races:\n%s", pod.Name, log)
		}
	})
}

func (d *deployment) log(t *testing.T, replica string) string {
	t.Helper()
	log, err := d.Replica(replica).Log()
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// await waits until the status of the group is as it should be.
func (d *deployment) await(t *testing.T, what string, is fleet.Condition) status.Status {
	t.Helper()
	s, err := d.WaitFor(t.Context(), patience, what, is)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// holderOf returns the replica that holds a shard.
func (d *deployment) holderOf(t *testing.T, shard string) *fleet.Replica {
	t.Helper()
	s, err := d.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	holder, held := fleet.HolderOf(s, shard)
	if !held {
		t.Fatalf("nobody holds shard %s", shard)
	}
	return d.Replica(holder)
}

// terminate ends a replica as a kubelet does, and fails the test unless it exits with 0.
func (d *deployment) terminate(t *testing.T, r *fleet.Replica) {
	t.Helper()
	if err := d.terminated(t, r); err != nil {
		t.Error(err)
	}
}

// terminated is terminate for other goroutines than the test's own.
func (d *deployment) terminated(t *testing.T, r *fleet.Replica) error {
	t.Helper()
	exit, err := r.Terminate(t.Context())
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("replica %s ended with %s after SIGTERM, want exit code 0", r.Name(), exit.State)
	}
	t.Logf("replica %s ended %s after SIGTERM", r.Name(), exit.Took.Round(time.Millisecond))
	return nil
}

// leases returns the group's Leases of a kind.
func (d *deployment) leases(t *testing.T, kind string) []coordinationv1.Lease {
	t.Helper()
	list, err := d.cluster.kube.CoordinationV1().Leases(d.Namespace()).List(t.Context(),
		metav1.ListOptions{LabelSelector: lease.LabelGroup + "=" + d.Group() + "," + lease.LabelKind + "=" + kind})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// attempts returns the number of the last renewal of each session.
func (d *deployment) attempts(t *testing.T) map[string]uint64 {
	t.Helper()
	attempts := map[string]uint64{}
	for _, l := range d.leases(t, lease.KindMember) {
		m := lease.DecodeMember(&l)
		attempt, err := strconv.ParseUint(m.Attempt, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		attempts[m.Holder] = attempt
	}
	return attempts
}

// lastHeartbeat is when the replica sent its last renewal.
func (d *deployment) lastHeartbeat(t *testing.T, r *fleet.Replica) time.Time {
	t.Helper()
	for _, l := range d.leases(t, lease.KindMember) {
		m := lease.DecodeMember(&l)
		if id, err := lease.ParseIdentity(m.Holder); err == nil && id.UID == r.UID() {
			return m.Renewed
		}
	}
	t.Fatalf("replica %s has no member Lease", r.Name())
	return time.Time{}
}

// acquired is when the shard changed hands last.
func (d *deployment) acquired(t *testing.T, shard string) time.Time {
	t.Helper()
	for _, l := range d.leases(t, lease.KindShard) {
		if l.Name == lease.ShardLeaseName(d.Group(), shard) {
			return lease.DecodeShard(&l).Acquired
		}
	}
	t.Fatalf("shard %s has no Lease", shard)
	return time.Time{}
}

// awaitHeartbeats waits until each session has been renewed n times more.
func (d *deployment) awaitHeartbeats(t *testing.T, n uint64) {
	t.Helper()
	before := d.attempts(t)
	eventually(t, fmt.Sprintf("each replica has sent %d heartbeats", n), func() error {
		now := d.attempts(t)
		for session, attempt := range before {
			if now[session] < attempt+n {
				return fmt.Errorf("%s has sent %d", session, now[session]-attempt)
			}
		}
		return nil
	})
}

// journal reads what was written in the group's namespace so far.
func (d *deployment) journal(t *testing.T) *journal {
	t.Helper()
	return readJournal(t, d.cluster.group, d.cluster.namespace)
}
