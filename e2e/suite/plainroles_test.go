// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/e2e/netproxy"
	"github.com/shardctl/shardctl/e2e/oracle"
	"github.com/shardctl/shardctl/internal/status"
)

// plainRole is a role without a resource type: what the configuration says of it.
type plainRole struct {
	name   string
	fields map[string]any
}

// plainConfiguration is a file with such roles. Each replica has a local endpoint, on a port of its own.
func (c *cluster) plainConfiguration(t *testing.T, roles ...plainRole) []byte {
	t.Helper()
	configured := make([]any, len(roles))
	for i, r := range roles {
		fields := maps.Clone(r.fields)
		fields["name"] = r.name
		configured[i] = fields
	}
	configuration, err := yaml.Marshal(map[string]any{
		"apiVersion": "shardctl.dev/v1alpha1",
		"kind":       "Configuration",
		"metadata":   map[string]any{"name": c.group},
		"spec": map[string]any{
			"namespace":  c.namespace,
			"timings":    map[string]any{"preset": "fast"},
			"http":       map[string]any{"address": "127.0.0.1:0"},
			"leadership": map[string]any{"address": "127.0.0.1:0"},
			"roles":      configured,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return configuration
}

// deployPlain installs a group with such roles, without any replica yet. Each will reach the API server by a network of its own.
func (c *cluster) deployPlain(t *testing.T, roles ...plainRole) *wiredDeployment {
	t.Helper()
	networks := fleet.Networks(controlPlane)
	t.Cleanup(func() {
		if err := networks.Close(); err != nil {
			t.Error(err)
		}
	})
	f := fleet.Start(t, fleet.Options{
		Cluster: networks, Binary: binary, Config: c.plainConfiguration(t, roles...), LayoutRecord: true,
		Env: []string{"GORACE=" + os.Getenv("GORACE")},
	})
	return &wiredDeployment{deployment: &deployment{cluster: c, Fleet: f}, networks: networks}
}

// wiredDeployment is one whose replicas can be cut off.
type wiredDeployment struct {
	*deployment
	networks *fleet.Networked
}

func (d *wiredDeployment) network(r *fleet.Replica) *netproxy.Proxy {
	return d.networks.Network(r.Name())
}

// awaitHolder waits until somebody holds the role.
func (d *wiredDeployment) awaitHolder(t *testing.T, role string) *fleet.Replica {
	t.Helper()
	s := d.await(t, "role "+role+" to be held", func(s status.Status) error {
		if _, held := fleet.HolderOf(s, role); !held {
			return errors.New("nobody holds it")
		}
		return nil
	})
	holder, _ := fleet.HolderOf(s, role)
	return d.Replica(holder)
}

// launchConfigured starts a replica with a configuration file of its own.
func (d *wiredDeployment) launchConfigured(t *testing.T, name string, configuration []byte) {
	t.Helper()
	path := filepath.Join(d.LogDir(), name+".yaml")
	if err := os.WriteFile(path, configuration, 0o600); err != nil {
		t.Fatal(err)
	}
	d.launchWith(t, name, "--config="+path)
}

// reigns is the history of a group's shard Leases as etcd tells it, from before there was any.
type reigns struct {
	recorder *oracle.Recorder
	group    string
}

// recordReigns begins to watch, before anything of the cluster is installed.
func (c *cluster) recordReigns(t *testing.T) *reigns {
	t.Helper()
	list, err := c.kube.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	recorder, err := oracle.Start(t.Context(), oracle.Options{
		Endpoints: []string{controlPlane.EtcdEndpoint()}, TLS: controlPlane.EtcdTLS(), From: revisionOf(t, list.ResourceVersion),
		Keep: func(k oracle.Key) bool { return k.Namespace == c.namespace && k.Resource.Resource == "leases" },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := recorder.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &reigns{recorder: recorder, group: c.group}
}

func revisionOf(t *testing.T, resourceVersion string) int64 {
	t.Helper()
	revision, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// catchUp waits until all is seen that was written before.
func (r *reigns) catchUp(t *testing.T, c *cluster) {
	t.Helper()
	list, err := c.kube.CoordinationV1().Leases(c.namespace).List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.recorder.WaitFor(t.Context(), revisionOf(t, list.ResourceVersion)); err != nil {
		t.Fatal(err)
	}
}

// of returns every change of who holds the shard, oldest first: also to nobody.
func (r *reigns) of(shard string) []reign {
	var all []reign
	for _, e := range r.recorder.Events() {
		if e.Key.Name != r.group+"."+shard || e.Deleted {
			continue
		}
		now := reign{revision: uint64(e.Revision), at: e.At, holder: e.Object.Lease.Holder, epoch: e.Object.Lease.Epoch}
		i := len(all) - 1
		if i < 0 && now.holder == "" || i >= 0 && all[i].holder == now.holder && (all[i].epoch == now.epoch || now.holder == "") {
			continue
		}
		all = append(all, now)
	}
	return all
}

// ofAll is every change of some shards, in the order of etcd, each as "<shard> <epoch> <identity>".
func (r *reigns) ofAll(shards []string) []string {
	type change struct {
		reign
		text string
	}
	var all []change
	for _, shard := range shards {
		for _, one := range r.of(shard) {
			all = append(all, change{one, fmt.Sprintf("%s %d %s", shard, one.epoch, one.holder)})
		}
	}
	slices.SortFunc(all, func(a, b change) int { return cmp.Compare(a.revision, b.revision) })
	texts := make([]string, len(all))
	for i, c := range all {
		texts[i] = c.text
	}
	return texts
}
