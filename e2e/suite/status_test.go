// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

// The fields of the status are what scripts rely on.
var (
	statusFields = []string{"fence", "group", "members", "namespace", "shards"}
	memberFields = []string{"identity", "leaving", "load", "pod", "ready", "renewedAgo", "revision", "shards", "state"}
	shardFields  = []string{"bucket", "epoch", "holder", "load", "name", "preferred", "resource", "since", "state"}
)

func TestStatus(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	d.launchWith(t, "a", "--revision=7")
	d.launchWith(t, "b", "--revision=7")
	// A replica that has only just started reports that it waits for its caches.
	d.await(t, "two replicas to be ready", fleet.All(fleet.Spread(2, 2), noProblem(types[0]), noProblem(types[1])))

	t.Run("json", func(t *testing.T) { testStatusJSON(t, d, types) })
	t.Run("yaml", func(t *testing.T) { testStatusYAML(t, d) })
	t.Run("table", func(t *testing.T) { testStatusTable(t, d, types) })
	t.Run("wide", func(t *testing.T) { testStatusWide(t, d, types) })
	t.Run("groups", func(t *testing.T) { testStatusOfGroups(t, d) })
}

func testStatusJSON(t *testing.T, d *deployment, types []resourceType) {
	out := d.status(t, "-o", "json")
	var raw struct{ Members, Shards []map[string]any }
	var fields map[string]any
	var s status.Status
	for _, into := range []any{&raw, &fields, &s} {
		if err := json.Unmarshal([]byte(out), into); err != nil {
			t.Fatal(err)
		}
	}
	wantFields(t, "status", fields, statusFields)
	wantFields(t, "member", raw.Members[0], memberFields)
	wantFields(t, "shard", raw.Shards[0], shardFields)

	if s.Group != d.Group() || s.Namespace != d.Namespace() || len(s.Members) != 2 || len(s.Shards) != 2 {
		t.Errorf("status is %+v", s)
	}
	for _, m := range s.Members {
		r := d.Replica(m.Pod)
		if want := fmt.Sprintf("%s_%s_main.", r.Name(), r.UID()); !strings.HasPrefix(m.Identity, want) {
			t.Errorf("identity is %s, want %s...", m.Identity, want)
		}
		if m.State != "live" || !m.Ready || m.Leaving || m.Shards != 1 || m.Revision != 7 {
			t.Errorf("member is %+v", m)
		}
		if ago, err := time.ParseDuration(m.RenewedAgo); err != nil || ago < 0 {
			t.Errorf("renewedAgo is %q: %v", m.RenewedAgo, err)
		}
	}
	for i, r := range []resourceType{types[1], types[0]} { // by name
		shard := s.Shards[i]
		if shard.Name != r.shard() || shard.Resource != r.shard() || shard.State != status.Held || shard.Epoch < 1 || shard.Bucket != "" {
			t.Errorf("shard is %+v, want %s, held", shard, r.shard())
		}
		if !slices.ContainsFunc(s.Members, func(m status.Member) bool { return m.Identity == shard.Holder }) {
			t.Errorf("shard %s is held by %s, which is no member", shard.Name, shard.Holder)
		}
		if since, err := time.Parse(time.RFC3339, shard.Since); err != nil || since.After(time.Now()) {
			t.Errorf("since is %q: %v", shard.Since, err)
		}
	}
}

func wantFields(t *testing.T, what string, object map[string]any, want []string) {
	t.Helper()
	if fields := slices.Sorted(maps.Keys(object)); !slices.Equal(fields, want) {
		t.Errorf("%s has the fields %q, want %q", what, fields, want)
	}
}

// testStatusYAML compares with JSON, but for what changes from one moment to the next.
func testStatusYAML(t *testing.T, d *deployment) {
	var fromYAML, fromJSON status.Status
	if err := yaml.Unmarshal([]byte(d.status(t, "-o", "yaml")), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(d.status(t, "-o", "json")), &fromJSON); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*status.Status{&fromYAML, &fromJSON} {
		for i := range s.Members {
			s.Members[i].RenewedAgo, s.Members[i].Load = "", 0
		}
		for i := range s.Shards {
			s.Shards[i].Load = 0
		}
	}
	if y, j := fmt.Sprintf("%+v", fromYAML), fmt.Sprintf("%+v", fromJSON); y != j {
		t.Errorf("as YAML it is %s, as JSON %s", y, j)
	}
}

func testStatusTable(t *testing.T, d *deployment, types []resourceType) {
	wantTable(t, d.status(t), []string{
		`Group ` + d.Group() + ` in namespace ` + d.Namespace() + `: 2 members, 2 shards`,
		``,
		`MEMBER +STATE +READY +SHARDS +LOAD +REVISION +RENEWED`,
		`a +live +true +1 +\d+\.\d\d +7 +\S+ ago`,
		`b +live +true +1 +\d+\.\d\d +7 +\S+ ago`,
		``,
		`SHARD +STATE +HOLDER +PIN +EPOCH +AGE +PROBLEM`,
		types[1].shard() + ` +held +[ab] +- +\d+ +\S+ +-`,
		types[0].shard() + ` +held +[ab] +- +\d+ +\S+ +-`,
		``,
		`Server fence: missing: .*`,
	})
}

func testStatusWide(t *testing.T, d *deployment, types []resourceType) {
	identity := `[ab]_[0-9a-f-]+_main\.[a-z0-9]+\.\d+`
	wantTable(t, d.status(t, "-o", "wide"), []string{
		`Group .*`,
		``,
		`MEMBER +STATE +READY +SHARDS +LOAD +REVISION +RENEWED +IDENTITY`,
		`a +live +true +1 +\S+ +7 +\S+ ago +` + identity,
		`b +live +true +1 +\S+ +7 +\S+ ago +` + identity,
		``,
		`SHARD +STATE +HOLDER +PIN +EPOCH +AGE +PROBLEM +LOAD +RESOURCE +IDENTITY`,
		types[1].shard() + ` +held +[ab] +- +\d+ +\S+ +- +\d+\.\d\d +` + types[1].shard() + ` +` + identity,
		types[0].shard() + ` +held +[ab] +- +\d+ +\S+ +- +\d+\.\d\d +` + types[0].shard() + ` +` + identity,
		``,
		`Server fence: missing: .*`,
	})
}

// wantTable compares line by line with regular expressions.
func wantTable(t *testing.T, out string, want []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), out)
	}
	for i, line := range lines {
		if !regexp.MustCompile("^" + want[i] + " *$").MatchString(line) {
			t.Errorf("line %d is %q, want %q", i+1, line, want[i])
		}
	}
}

// testStatusOfGroups has a second group in the namespace, which nobody has joined.
func testStatusOfGroups(t *testing.T, d *deployment) {
	d.cluster.install(t, "another")
	for _, test := range []struct {
		name string
		args []string
		want string
		fail bool
	}{
		{"one is chosen", []string{"--group", d.Group()}, "Group " + d.Group() + " ", false},
		{"one without members", []string{"-g", "another"}, "Group another in namespace " + d.Namespace() + ": 0 members, 0 shards", false},
		{"none is chosen", nil, "there are several groups in namespace " + d.Namespace() + ": choose with --group: another, " + d.Group(), true},
		{"one that is not there", []string{"--group", "third"}, `there is no group "third" in namespace ` + d.Namespace(), true},
		{"a namespace without", []string{"--namespace", "default"}, "there is no group in namespace default: name another with --namespace", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"status", "--kubeconfig", controlPlane.KubeconfigPath(), "--namespace", d.Namespace()}, test.args...)
			if out, code := shardctl(t, args...); (code != 0) != test.fail || !strings.Contains(out, test.want) {
				t.Errorf("exit code %d and %q, want %q", code, out, test.want)
			}
		})
	}
}

// status is what `shardctl status` prints about the group.
func (d *deployment) status(t *testing.T, args ...string) string {
	t.Helper()
	out, err := d.Command(t.Context(), append([]string{"status"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
