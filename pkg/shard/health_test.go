// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/shardctl/shardctl/internal/endpoint"
	"github.com/shardctl/shardctl/pkg/lease"
)

// probe asks as a kubelet does, and returns the code and what was said.
func (m *member) probe(name string, of []Check) (code int, text string) {
	checks := make([]endpoint.Check, len(of))
	for i, c := range of {
		checks[i] = endpoint.Check(c)
	}
	w := httptest.NewRecorder()
	endpoint.Health(name, checks).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+name, nil))
	return w.Code, w.Body.String()
}

func (m *member) livez() (int, string)  { return m.probe("livez", m.LiveChecks()) }
func (m *member) readyz() (int, string) { return m.probe("readyz", m.ReadyChecks()) }

// isWell tells whether both probes are answered so.
func (m *member) isWell() bool {
	live, _ := m.livez()
	ready, _ := m.readyz()
	return live == http.StatusOK && ready == http.StatusOK
}

// wantFailing fails the test unless the check, and no other, fails for a reason with these
// words.
func wantFailing(t *testing.T, code int, text, check, words string) {
	t.Helper()
	if code != http.StatusServiceUnavailable || strings.Count(text, "[-]") != 1 ||
		!strings.Contains(text, "[-]"+check+" failed: ") || !strings.Contains(text, words) {
		t.Errorf("%d\n%swant check %s to fail, with %q", code, text, check, words)
	}
}

// stuck is a handler that holds the driver's goroutine up when a term is revoked, until
// released.
type stuck struct {
	lease.Handler
	released chan struct{}
}

func (s *stuck) Revoked(r lease.Revoked) {
	<-s.released
	s.Handler.Revoked(r)
}

// What is called on the driver's goroutine does not return: nothing is renewed any more,
// and only a new process will help.
func TestLivezFailsWhileTheLoopIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(gadgets, "g"))
		a := c.prepare("a")
		loop := &stuck{Handler: a.driving.Handler, released: make(chan struct{})}
		a.driving.Handler = loop
		for _, gvr := range []string{"widgets", "gadgets"} {
			resource := widgets
			resource.Resource = gvr
			if err := a.Add(Controller{Resource: resource, Reconcile: func(context.Context, Key) (Result, error) { return Result{}, nil }}); err != nil {
				t.Fatal(err)
			}
		}
		a.run()
		c.eventually(firstStart, "the first holds both", func() bool { return len(a.holds()) == 2 && a.isWell() })

		b := c.start("b", quick) // one shard is to be given to it
		c.eventually(firstStart, "the other is ready", func() bool { return b.Ready() == nil })
		if code, text := a.livez(); code != http.StatusOK {
			t.Errorf("it is stuck for less than a RenewDeadline yet: %d\n%s", code, text)
		}
		c.eventually(firstStart, "the probe fails", func() bool {
			code, _ := a.livez()
			return code != http.StatusOK
		})
		code, text := a.livez()
		wantFailing(t, code, text, "loop", "the election's loop has been stuck for")
		c.eventually(2*lease.Fast.LeaseDuration, "the other has taken over", func() bool { return len(b.holds()) == 2 })

		close(loop.released)
		c.eventually(3*lease.Fast.LeaseDuration, "it is well again", a.isWell)
		c.stop(a, b)
	})
}

// A transport that ignores its context keeps a heartbeat from ever being given up.
func TestLivezFailsWhileARenewalIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		var mu sync.Mutex
		var hung chan struct{} // nil: requests pass
		c.fault = func(context.Context, string) error {
			mu.Lock()
			wait := hung
			mu.Unlock()
			if wait != nil {
				<-wait
				return errors.New("the connection broke at last")
			}
			return nil
		}
		a := c.start("a", quick)
		c.eventually(firstStart, "it holds both", func() bool { return len(a.holds()) == 2 && a.isWell() })
		release := make(chan struct{})
		mu.Lock()
		hung = release
		mu.Unlock()

		time.Sleep(lease.Fast.RequestTimeout() + lease.Fast.RenewDeadline)
		if code, text := a.livez(); code != http.StatusOK {
			t.Errorf("it might still be given up: %d\n%s", code, text)
		}
		time.Sleep(lease.Fast.RenewInterval + time.Second)
		code, text := a.livez()
		wantFailing(t, code, text, "renewal", "neither been answered nor given up")
		code, text = a.readyz()
		wantFailing(t, code, text, "session", "not valid")

		mu.Lock()
		hung = nil
		mu.Unlock()
		close(release)
		c.eventually(3*lease.Fast.LeaseDuration, "it is well again", a.isWell)
		c.stop(a)
	})
}

// An API server that does not answer is no reason to end a process.
func TestLivezPassesWhileTheAPIServerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		cut := c.partition("a")
		a := c.start("a", quick)
		c.eventually(firstStart, "it is well", a.isWell)
		cut.Store(true)
		for range 10 {
			time.Sleep(lease.Fast.LeaseDuration)
			if code, text := a.livez(); code != http.StatusOK {
				t.Fatalf("%d\n%s", code, text)
			}
		}
		code, text := a.readyz()
		wantFailing(t, code, text, "session", "not valid")
		cut.Store(false)
		c.eventually(3*lease.Fast.LeaseDuration, "it is well again", a.isWell)
		c.stop(a)
	})
}

func TestReadyzFailsWhileCachesAreNotSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		var mu sync.Mutex
		failing := true
		c.objects.(*dynamicfake.FakeDynamicClient).PrependReactor("list", "widgets", func(clienttesting.Action) (bool, runtime.Object, error) {
			mu.Lock()
			defer mu.Unlock()
			return failing, nil, errors.New("the database is away")
		})
		a := c.prepare("a")
		if code, text := a.readyz(); code != http.StatusServiceUnavailable || !strings.Contains(text, "[-]session failed: the group has not been started") {
			t.Errorf("before it runs: %d\n%s", code, text)
		}
		err := a.Add(Controller{Resource: widgets, Reconcile: func(context.Context, Key) (Result, error) { return Result{}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		a.run()
		time.Sleep(firstStart)
		code, text := a.readyz()
		wantFailing(t, code, text, "caches", "widgets.example.com")
		if code, text := a.livez(); code != http.StatusOK {
			t.Errorf("it is no reason to end the process: %d\n%s", code, text)
		}
		mu.Lock()
		failing = false
		mu.Unlock()
		c.eventually(time.Minute, "it is ready", a.isWell)
		c.stop(a)
	})
}

func TestReadyzFailsWhileTheReplicaLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		release := make(chan struct{})
		a := c.start("a", func(context.Context, Key) error { <-release; return nil })
		c.eventually(firstStart, "it works", func() bool { return len(c.working()) == 1 && a.isWell() })
		a.leave()
		time.Sleep(time.Second)
		code, text := a.readyz()
		wantFailing(t, code, text, "leaving", "hands over what it holds")
		if code, text := a.livez(); code != http.StatusOK {
			t.Errorf("its work has time left: %d\n%s", code, text)
		}
		time.Sleep(a.opts.DrainTimeout)
		code, text = a.livez()
		wantFailing(t, code, text, "drain", "work ignores its context and keeps widgets.example.com")
		close(release)
		if err := <-a.result; err != nil {
			t.Errorf("it left with %v", err)
		}
		if code, text := a.livez(); code != http.StatusOK {
			t.Errorf("after its end: %d\n%s", code, text)
		}
	})
}
