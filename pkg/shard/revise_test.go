// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

// followed is a reviser that has read revision 12, of which there are to be three,
// and goes on reading until the end of the test.
type followed struct {
	*reviser
	client *fake.Clientset
	log    fmt.Stringer
	said   chan lease.Revised
}

func follow(t *testing.T, prepare ...func(*fake.Clientset)) *followed {
	t.Helper()
	w, client := runAs(podOf("ReplicaSet", "set", nil), replicaSet(nil, map[string]string{annotationRevision: "12", annotationDesired: "3"}))
	for _, do := range prepare {
		do(client)
	}
	ctx, log := logged(t)
	f := &followed{reviser: newReviser(w), client: client, log: log, said: make(chan lease.Revised, 100)}
	f.first(ctx, 1)
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- f.reviseLoop(ctx, func(r lease.Revised) { f.said <- r }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return f
}

// note changes what the Deployment controller has noted on the ReplicaSet.
func note(t *testing.T, client *fake.Clientset, revision, desired string) {
	t.Helper()
	set := replicaSet(nil, map[string]string{annotationRevision: revision, annotationDesired: desired})
	if _, err := client.AppsV1().ReplicaSets("ns").Update(t.Context(), set, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// expect fails the test unless this was said within so long, and once.
func (f *followed) expect(t *testing.T, want lease.Revised, within time.Duration) {
	t.Helper()
	time.Sleep(within)
	synctest.Wait()
	if len(f.said) != 1 {
		t.Fatalf("within %s it was said %d times that the revision has changed, want once", within, len(f.said))
	}
	if got := <-f.said; got != want {
		t.Errorf("it was said that it is now %+v, want %+v", got, want)
	}
}

const (
	atMost        = revisionInterval * 3 / 2
	atMostEmptied = emptiedInterval * 3 / 2
)

func TestRevisionThatChangesIsSaid(t *testing.T) {
	for _, test := range []struct {
		name              string
		revision, desired string
		want              lease.Revised
	}{
		{"a rollback to it", "14", "3", lease.Revised{Revision: 14, TargetReplicas: 3}},
		{"a scaled Deployment", "12", "5", lease.Revised{Revision: 12, TargetReplicas: 5}},
		{"a scale that is not known any more", "12", "", lease.Revised{Revision: 12}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := follow(t)
				note(t, f.client, test.revision, test.desired)
				f.expect(t, test.want, atMost)
			})
		})
	}
}

func TestRevisionIsReadAtOnceByWhoIsEmptied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t)
		note(t, f.client, "14", "3")
		f.emptied.say(true)
		f.expect(t, lease.Revised{Revision: 14, TargetReplicas: 3}, 0)
	})
}

func TestRevisionIsReadMoreOftenByWhoIsEmptied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t)
		f.emptied.say(true)
		synctest.Wait()
		note(t, f.client, "14", "3")
		f.expect(t, lease.Revised{Revision: 14, TargetReplicas: 3}, atMostEmptied)
	})
}

// gets are the requests on ReplicaSets.
func (f *followed) gets() (n int) {
	for _, a := range f.client.Actions() {
		if a.Matches("get", "replicasets") {
			n++
		}
	}
	return n
}

func TestRevisionThatStaysIsNotSaidAndSeldomRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t)
		f.emptied.say(true)
		synctest.Wait()
		f.emptied.say(false)
		before := f.gets()
		time.Sleep(24 * time.Hour)
		if n, limit := f.gets()-before, int(24*time.Hour/revisionInterval); n > limit || n < limit/2 {
			t.Errorf("it was read %d times in a day, want %d to %d", n, limit/2, limit)
		}
		if len(f.said) > 0 {
			t.Errorf("it was said %d times that the revision has changed, although it has not", len(f.said))
		}
		if lines := strings.Count(f.log.String(), "\n"); lines > 1 {
			t.Errorf("the log has %d lines, want none after the first:\n%s", lines, f.log.String())
		}
	})
}

// What cannot be read any more stays as it was. It is told once, and what can be read again goes on as before.
func TestRevisionThatCannotBeReadStays(t *testing.T) {
	replicaSets := schema.GroupResource{Group: "apps", Resource: "replicasets"}
	for _, test := range []struct {
		name  string
		err   func(attempt int) error
		times int // that it is asked for at a time
	}{
		{"no permission", func(int) error { return apierrors.NewForbidden(replicaSets, "set", errors.New("no")) }, 1},
		{"it is gone", func(int) error { return apierrors.NewNotFound(replicaSets, "set") }, 1},
		{"no answer", func(port int) error { return fmt.Errorf("read tcp 10.0.0.1:%d: connection reset", port) }, revisionBackoff.Steps},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing, failures := false, 0
				f := follow(t, func(client *fake.Clientset) {
					client.PrependReactor("get", "replicasets", func(k8stesting.Action) (bool, runtime.Object, error) {
						if !failing {
							return false, nil, nil
						}
						failures++
						return true, nil, test.err(failures)
					})
				})
				failing = true
				f.emptied.say(true) // which makes it ask no more often
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				if len(f.said) > 0 {
					t.Errorf("it was said that the revision is now %+v", <-f.said)
				}
				if n := strings.Count(f.log.String(), "stays as it was"); n != 1 {
					t.Errorf("it was told %d times, want once:\n%s", n, f.log.String())
				}
				if limit := int(24*time.Hour/revisionInterval) * test.times; failures > limit {
					t.Errorf("it was asked for %d times in a day, want %d at most", failures, limit)
				}
				failing = false
				note(t, f.client, "14", "3")
				f.expect(t, lease.Revised{Revision: 14, TargetReplicas: 3}, 2*atMost)
			})
		})
	}
}

func TestRevisionThatMayNotBeReadAtTheBeginningIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, func(client *fake.Clientset) { refuse(client, "get", "pods") })
		time.Sleep(24 * time.Hour)
		if n := strings.Count(f.log.String(), `permission="get pods"`); n != 1 {
			t.Errorf("the log names the permission %d times in a day, want once:\n%s", n, f.log.String())
		}
	})
}

// A rollback while the new revision holds everything: what is left of the old one is the newest from then on.
func TestRollbackBringsTheShardsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		old, updated := c.prepareBoth("old"), c.prepareBoth("new")
		pod := old.inReplicaSet("1", "1")
		updated.inReplicaSet("2", "1")
		old.run()
		c.eventually(firstStart, "the old replica holds everything", func() bool { return len(old.holds()) == 2 })
		updated.run()
		c.eventually(10*time.Second, "the new replica holds everything", func() bool { return len(updated.holds()) == 2 && len(old.holds()) == 0 })
		c.eventually(time.Second, "the old Pod is marked", func() bool { return costOf(t, pod) == emptiedCost })
		note(t, pod, "3", "1")
		c.eventually(atMostEmptied+10*time.Second, "the old replica holds everything again", func() bool { return len(old.holds()) == 2 && len(updated.holds()) == 0 })
		c.eventually(time.Second, "its mark is gone", func() bool { return costOf(t, pod) == "none" })
		c.stop(updated, old)
	})
}
