// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/internal/config"
)

// rolesFile is a configuration of group g with roles without a type, in YAML, whose local
// endpoint is at an address.
func rolesFile(address string, roles ...string) string {
	text := "apiVersion: shardctl.dev/v1alpha1\nkind: Configuration\nmetadata: {name: g}\nspec:\n  http: {address: \"127.0.0.1:0\"}\n"
	if address != "" {
		text += "  leadership: {address: \"" + address + "\"}\n"
	}
	return text + "  roles:\n  - " + strings.Join(roles, "\n  - ") + "\n"
}

const (
	leadRole = `{name: leader, leadership: {grace: 0s}}`
	execRole = `{name: importer, exec: {command: [importer]}}`
	cronRole = `{name: nightly, schedule: {cron: "@daily", webhook: {url: "http://localhost/"}}}`
)

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// takenAddress is one that somebody else listens on.
func takenAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// An address in use is an error before anything is led, and gives back what was taken.
func TestReplicaNeedsTheAddressOfItsLocalEndpoint(t *testing.T) {
	t.Setenv("POD_NAME", "p")
	address := takenAddress(t)
	nobody := &rest.Config{Host: "http://127.0.0.1:1"}
	_, err := New(t.Context(), nobody, parse(t, rolesFile(address, leadRole)), Options{Namespace: "ns"})
	if err == nil || !strings.Contains(err.Error(), "spec.leadership.address: ") || !strings.Contains(err.Error(), address) {
		t.Errorf("New: %v, want the field and the address %s", err, address)
	}
}

// The endpoint answers as soon as a configuration calls for it, and lists what that has.
func TestLocalEndpointOpensWhenItIsCalledFor(t *testing.T) {
	without, with := parse(t, rolesFile("", execRole, cronRole)), parse(t, rolesFile("127.0.0.1:0", execRole, leadRole))
	without.Leadership, without.Leadership.Asked = with.Leadership, false
	r := newReloading(t, rolesFile("127.0.0.1:0", execRole))
	l := newLocalEndpoint(&rest.Config{Host: "http://127.0.0.1:1"}, without, r.local.options)
	if err := l.listen(t.Context(), without); err != nil || l.endpoint != nil {
		t.Fatalf("it listens without a leadership role: error %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running errgroup.Group
	running.Go(func() error { return l.run(ctx) })
	for range 2 { // a second time changes nothing
		if err := l.listen(ctx, with); err != nil {
			t.Fatal(err)
		}
	}
	l.knows(with)
	body := get(t, "http://"+l.endpoint.Addr()+"/roles")
	if !strings.Contains(body, `"leader"`) || !strings.Contains(body, `"importer"`) || strings.Contains(body, "nightly") {
		t.Errorf("the roles are %s, want leader and importer", body)
	}
	stop()
	if err := running.Wait(); err != nil {
		t.Errorf("run: %v", err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v: %s", url, response.Status, err, body)
	}
	return string(body)
}

// Where nobody is told, the Lease alone says who leads.
func TestLeadershipWithoutAnEndpointIsHeldUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &localEndpoint{open: make(chan struct{})}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		began := time.Now()
		if err := l.lead("leader")(ctx); err != nil || time.Since(began) != time.Hour {
			t.Errorf("it has ended after %s: %v; want its term of an hour", time.Since(began), err)
		}
	})
}

// cancelled is a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
