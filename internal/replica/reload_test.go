// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/leadership"
	"github.com/shardctl/shardctl/pkg/shard"
)

// fileOf is a configuration whose spec begins with some fields, with roles that each have
// a type of their name and call a webhook at a path.
func fileOf(fields string, roles ...[2]string) string {
	text := "apiVersion: shardctl.dev/v1alpha1\nkind: Configuration\nmetadata: {name: g}\nspec:\n"
	for field := range strings.FieldsFuncSeq(fields, func(r rune) bool { return r == ';' }) {
		text += "  " + field + "\n"
	}
	text += "  roles:\n"
	for _, role := range roles {
		text += fmt.Sprintf("  - name: %s\n    decorator:\n      resources: [{apiVersion: example.com/v1, resource: %[1]s}]\n"+
			"      hooks: {sync: {webhook: {url: \"http://localhost/%s\"}}}\n", role[0], role[1])
	}
	return text
}

// ledger is a group that only writes down what becomes of it.
type ledger struct {
	fail    error
	applied []string // "-name +name" per change
	problem string
}

func (l *ledger) Apply(_ context.Context, c shard.Change) error {
	if l.fail != nil {
		return l.fail
	}
	var words []string
	for _, name := range c.RemoveControllers {
		words = append(words, "-"+name.Name)
	}
	for _, name := range c.RemoveRoles {
		words = append(words, "-"+name)
	}
	for _, one := range c.AddControllers {
		words = append(words, "+"+one.Name)
	}
	for _, one := range c.AddRoles {
		words = append(words, "+"+one.Name)
	}
	for _, one := range c.AddSchedules {
		words = append(words, "+"+one.Name)
	}
	l.applied = append(l.applied, strings.Join(words, " "))
	return nil
}

func (l *ledger) ReportProblem(text string) { l.problem = text }

// reloading is a reloader of a file, with what it meets.
type reloading struct {
	*reloader
	*ledger
	t         *testing.T
	file      string
	registry  *prometheus.Registry
	forbidden error
	types     int // told last
}

func newReloading(t *testing.T, text string) *reloading {
	t.Helper()
	rc := &rest.Config{Host: "http://127.0.0.1:1"} // nothing is sent
	group, err := shard.NewGroup(rc, shard.GroupOptions{Name: "g", Namespace: "ns", Pod: "p"})
	if err != nil {
		t.Fatal(err)
	}
	r := &reloading{ledger: &ledger{}, t: t, file: filepath.Join(t.TempDir(), "config.yaml"), registry: prometheus.NewRegistry()}
	force, err := config.Parse(r.file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	local := newLocalEndpoint(rc, force, leadership.Options{Backend: leadership.Of(group), Group: "g", Namespace: "ns", Pod: "p"})
	workshop, err := newWorkshop(rc, group, local, "p", "ns")
	if err != nil {
		t.Fatal(err)
	}
	r.reloader = &reloader{
		path: r.file, group: r.ledger, workshop: workshop, local: local, force: force, metrics: newReloadMetrics(r.registry, "g"),
		permitted: func(context.Context, *config.Config) error { return r.forbidden },
		changed:   func(_ context.Context, now *config.Config) { r.types = len(config.TypesOf(now)) },
	}
	r.becomes(text)
	return r
}

// becomes has the file be another, and be looked at.
func (r *reloading) becomes(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.look(r.t.Context())
}

// check fails the test unless the changes are these so far, and the last file was refused
// for this; empty: it was not.
func (r *reloading) check(problem string, applied ...string) {
	r.t.Helper()
	if !slices.Equal(r.applied, applied) {
		r.t.Errorf("the changes are %q, want %q", r.applied, applied)
	}
	if !strings.Contains(r.problem, problem) || problem == "" && r.problem != "" {
		r.t.Errorf("the problem is %q, want %q", r.problem, problem)
	}
	want := 1.0
	if problem != "" {
		want = 0
	}
	if got := testutil.ToFloat64(r.metrics.successful); got != want {
		r.t.Errorf("the metric of success is %v, want %v", got, want)
	}
}

var (
	a1, a2 = [2]string{"alphas", "1"}, [2]string{"alphas", "2"}
	b1, b2 = [2]string{"betas", "1"}, [2]string{"betas", "2"}
)

func TestReloadPutsRolesIntoForce(t *testing.T) {
	r := newReloading(t, fileOf("", a1, b1))
	r.check("")
	r.becomes(fileOf("", a2, b1))
	r.check("", "-alphas +alphas")
	r.becomes(fileOf("", a2))
	r.check("", "-alphas +alphas", "-betas")
	if r.types != 1 {
		t.Errorf("the fence is told of %d types, want 1", r.types)
	}
	r.becomes(fileOf("", b2, a2)) // in another order
	r.check("", "-alphas +alphas", "-betas", "+betas")
	r.becomes(fileOf("workers: 7", b2, a2))
	r.check("", "-alphas +alphas", "-betas", "+betas", "-betas -alphas +betas +alphas")
	r.becomes("# only a comment\n" + fileOf("workers: 7", b2, a2))
	r.check("", "-alphas +alphas", "-betas", "+betas", "-betas -alphas +betas +alphas")
	if n := testutil.CollectAndCount(r.metrics.info); n != 1 {
		t.Errorf("%d files are in force at a time", n)
	}
}

func TestReloadRefusesTheWholeFile(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"not YAML", "{", "config.yaml"},
		{"empty", "", "config.yaml"},
		{"a field that there is not", fileOf("workres: 3", a2, b1), "workres"},
		{"several problems", fileOf("workres: 3;drainTimeout: -1s", a2, b1), "and 1 more problem"},
		{"other timings", fileOf("timings: {preset: fast}", a2, b1), "spec.timings: cannot change while a replica runs"},
		{"another namespace", fileOf("namespace: other", a2, b1), "spec.namespace: cannot change"},
		{"another group", strings.Replace(fileOf("", a2, b1), "name: g", "name: h", 1), "metadata.name: cannot change"},
		{"another address", fileOf("http: {address: \":1\"}", a2, b1), "spec.http"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReloading(t, fileOf("", a1, b1))
			r.becomes(tc.text)
			r.check(tc.want)
			r.look(t.Context()) // the same again
			r.check(tc.want)
			r.becomes(fileOf("", a1, b1)) // taken back
			r.check("")
			r.becomes(fileOf("", a2, b1))
			r.check("", "-alphas +alphas")
		})
	}
}

func TestReloadOutlivesAFileThatIsNotThere(t *testing.T) {
	r := newReloading(t, fileOf("", a1))
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	r.look(t.Context())
	r.check("opening the configuration")
	r.becomes(fileOf("", a1))
	r.check("")
	r.becomes(fileOf("", a2))
	r.check("", "-alphas +alphas")
}

// What is missing may be granted later, without anybody touching the file.
func TestReloadTriesAgainWhatMayMendItself(t *testing.T) {
	r := newReloading(t, fileOf("", a1))
	r.forbidden = errors.New("may not list betas")
	r.becomes(fileOf("", a1, b1))
	r.check("may not list betas")
	r.forbidden = nil
	r.look(t.Context())
	r.check("may not list betas") // not at once
	r.refused.again = time.Now().Add(-time.Second)
	r.fail = errors.New("caches")
	r.look(t.Context())
	r.check("caches")
	r.refused.again = time.Now().Add(-time.Second)
	r.fail = nil
	r.look(t.Context())
	r.check("", "+betas")
}

// A ConfigMap's directory changes by way of a symbolic link.
func TestReloadFollowsASymbolicLink(t *testing.T) {
	r := newReloading(t, fileOf("", a1))
	other := filepath.Join(filepath.Dir(r.file), "other")
	if err := os.WriteFile(other, []byte(fileOf("", a1, b1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(r.file), os.Symlink(other, r.file)); err != nil {
		t.Fatal(err)
	}
	r.look(t.Context())
	r.check("", "+betas")
}

// Whoever adds a field says what it is called in the file.
func TestEveryFieldHasAPath(t *testing.T) {
	inFile := regexp.MustCompile(`^(metadata|spec)(\.[a-z]+([A-Z][a-z]+)*)+$`)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		if path := pathOf(field.Name); !inFile.MatchString(path) {
			t.Errorf("%s is %s in the file", field.Name, path)
		}
	}
}
