// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/internal/leasetest"
)

// podServer is an API server for the Pods of one namespace.
type podServer struct {
	// plain makes it refuse to stream lists, as old API servers do.
	plain bool

	mu       sync.Mutex
	revision int
	pods     map[string]*corev1.Pod
	history  []watch.Event
	watches  []*watch.RaceFreeFakeWatcher
	requests int
	// fault, if set, is the answer to requests of a verb.
	fault map[string]error
}

func (s *podServer) begin(verb string) error {
	s.requests++
	return s.fault[verb]
}

func (s *podServer) List(context.Context, metav1.ListOptions) (*corev1.PodList, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin("list"); err != nil {
		return nil, err
	}
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(s.revision)}}
	for _, pod := range s.pods {
		list.Items = append(list.Items, *pod.DeepCopy())
	}
	return list, nil
}

func (s *podServer) Watch(_ context.Context, o metav1.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin("watch"); err != nil {
		return nil, err
	}
	w := watch.NewRaceFreeFake()
	if ptr.Deref(o.SendInitialEvents, false) {
		if s.plain {
			return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("ListOptions").GroupKind(), "", nil)
		}
		for _, pod := range s.pods {
			w.Add(pod.DeepCopy())
		}
		w.Action(watch.Bookmark, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: strconv.Itoa(s.revision), Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		}})
	} else {
		from, err := strconv.Atoi(o.ResourceVersion)
		if err != nil {
			return nil, err
		}
		for _, ev := range s.history[from:] {
			w.Action(ev.Type, ev.Object.DeepCopyObject())
		}
	}
	s.watches = append(s.watches, w)
	return w, nil
}

func (s *podServer) write(t watch.EventType, pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	pod = pod.DeepCopy()
	pod.ResourceVersion = strconv.Itoa(s.revision)
	if s.pods == nil {
		s.pods = map[string]*corev1.Pod{}
	}
	s.pods[pod.Name] = pod
	if t == watch.Deleted {
		delete(s.pods, pod.Name)
	}
	s.history = append(s.history, watch.Event{Type: t, Object: pod})
	for _, w := range s.watches {
		w.Action(t, pod.DeepCopy())
	}
}

// answer makes it answer requests of these verbs with the error, and ends the watches.
func (s *podServer) answer(err error, verbs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = map[string]error{}
	for _, verb := range verbs {
		s.fault[verb] = err
	}
	for _, w := range s.watches {
		w.Stop()
	}
	s.watches = nil
}

func (s *podServer) sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// witness is a podWatch at work, and what it told and logged.
type witness struct {
	cancel context.CancelFunc
	ended  chan error

	mu   sync.Mutex
	told []string
	log  []string
}

func startPodWatch(pods PodReader) *witness {
	w := &witness{ended: make(chan error, 1)}
	log := funcr.New(func(_, args string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.log = append(w.log, args)
	}, funcr.Options{})
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), log))
	w.cancel = cancel
	p := newPodWatch(pods, &Config{Group: "g", Namespace: "ns"}, func(_ <-chan struct{}, ev Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		died := ev.(Died).Replica
		w.told = append(w.told, died.Pod+"/"+died.Container+"."+died.Boot)
	})
	go func() { w.ended <- p.podLoop(ctx) }()
	return w
}

// wants waits for all that goes on at this instant, and then compares everything that was told.
func (w *witness) wants(t *testing.T, told ...string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Sort(w.told); !slices.Equal(w.told, told) {
		t.Errorf("told %v, want %v", w.told, told)
	}
}

func (w *witness) logged(text string) (times int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.log {
		if strings.Contains(line, text) {
			times++
		}
	}
	return times
}

func (w *witness) stop(t *testing.T) {
	t.Helper()
	w.cancel()
	if err := <-w.ended; err != nil {
		t.Error(err)
	}
}

func deadPod(name, boot string) *corev1.Pod {
	return podWith(name, status("main", terminated("Error", 137, lineOf("main", boot)), corev1.ContainerState{}))
}

func livePod(name string) *corev1.Pod {
	return podWith(name, status("main", running, corev1.ContainerState{}))
}

// inBothWays runs a test with lists that are streamed, and with plain ones.
func inBothWays(t *testing.T, test func(t *testing.T, s *podServer)) {
	t.Helper()
	for name, plain := range map[string]bool{"streamed": false, "listed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, &podServer{plain: plain}) })
		})
	}
}

func TestPodWatchTellsOfEachDeathOnce(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *podServer) {
		s.write(watch.Added, livePod("a"))
		s.write(watch.Added, deadPod("b", "b1"))
		w := startPodWatch(s)
		w.wants(t, "b/main.b1")

		s.write(watch.Modified, deadPod("b", "b1"))
		w.wants(t, "b/main.b1")
		s.write(watch.Modified, deadPod("a", "a1"))
		w.wants(t, "a/main.a1", "b/main.b1")
		s.write(watch.Modified, podWith("b", status("main", terminated("Error", 1, lineOf("main", "b2")), terminated("Error", 137, lineOf("main", "b1")))))
		w.wants(t, "a/main.a1", "b/main.b1", "b/main.b2")
		if n := w.logged("known to have ended"); n != 3 {
			t.Errorf("the log tells of %d deaths, want 3", n)
		}
		w.stop(t)
	})
}

// The last state of a Pod proves a death like any other; that it is deleted proves nothing.
func TestPodWatchLooksAtPodsThatAreDeleted(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *podServer) {
		s.write(watch.Added, livePod("a"))
		s.write(watch.Added, livePod("b"))
		w := startPodWatch(s)
		synctest.Wait()
		s.write(watch.Deleted, livePod("a"))
		w.wants(t)
		s.write(watch.Deleted, deadPod("b", "b1"))
		w.wants(t, "b/main.b1")
		w.stop(t)
	})
}

func TestPodWatchGoesOnAfterItsWatchHasEnded(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *podServer) {
		s.write(watch.Added, livePod("a"))
		w := startPodWatch(s)
		synctest.Wait()
		time.Sleep(10 * time.Minute)
		s.answer(nil)
		s.write(watch.Modified, deadPod("a", "a1"))
		w.wants(t, "a/main.a1")
		w.stop(t)
	})
}

func TestPodWatchListsAgainWhereItMust(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *podServer) {
		w := startPodWatch(s)
		synctest.Wait()
		s.mu.Lock()
		for _, open := range s.watches {
			gone := apierrors.NewResourceExpired("too old").Status()
			open.Error(&gone)
		}
		s.watches = nil
		s.mu.Unlock()
		s.write(watch.Added, deadPod("a", "a1"))
		time.Sleep(5 * time.Second)
		w.wants(t, "a/main.a1")
		w.stop(t)
	})
}

// Without the permission, for one verb or both, it says so once, asks again every few minutes, and goes on when it is granted.
func TestPodWatchWithoutPermission(t *testing.T) {
	forbidden := apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no"))
	for _, verbs := range []string{"list", "watch", "list watch"} {
		t.Run(verbs, func(t *testing.T) {
			inBothWays(t, func(t *testing.T, s *podServer) {
				if verbs == "list" && !s.plain {
					t.Skip("a streamed list is a watch")
				}
				s.answer(forbidden, strings.Fields(verbs)...)
				w := startPodWatch(s)
				time.Sleep(time.Hour)
				synctest.Wait()
				if n := w.logged("Known deaths are not used"); n != 1 {
					t.Errorf("said %d times that a permission is missing, want once", n)
				}
				if n := s.sent(); n < 10 || n > 60 {
					t.Errorf("%d requests in an hour", n)
				}
				s.write(watch.Added, deadPod("a", "a1"))
				s.answer(nil)
				time.Sleep(2 * refusedPause)
				w.wants(t, "a/main.a1")
				if n := w.logged("Known deaths are used from now on"); n != 1 {
					t.Errorf("said %d times that it can read Pods now, want once", n)
				}
				w.stop(t)
			})
		})
	}
}

// An outage costs no more than it lasts, whatever it looks like, and no more than a few lines.
func TestPodWatchAfterAnOutage(t *testing.T) {
	for name, err := range map[string]error{
		"refused":      fmt.Errorf("dial: %w", syscall.ECONNREFUSED),
		"cut":          errors.New("unexpected EOF"),
		"too busy":     apierrors.NewTooManyRequests("later", 0),
		"broken":       apierrors.NewInternalError(errors.New("broken")),
		"unavailable":  apierrors.NewServiceUnavailable("starting"),
		"unauthorized": apierrors.NewUnauthorized("who?"),
	} {
		t.Run(name, func(t *testing.T) {
			inBothWays(t, func(t *testing.T, s *podServer) {
				w := startPodWatch(s)
				synctest.Wait()
				s.answer(err, "list", "watch")
				before := s.sent()
				time.Sleep(10 * time.Minute)
				if n := s.sent() - before; n > 300 {
					t.Errorf("%d requests in an outage of 10 minutes", n)
				}
				s.write(watch.Added, deadPod("a", "a1"))
				s.answer(nil)
				time.Sleep(3 * maxPodPause / 2)
				w.wants(t, "a/main.a1")
				if w.log = slices.DeleteFunc(w.log, func(line string) bool { return strings.Contains(line, "known to have ended") }); len(w.log) > 0 {
					t.Errorf("logged %v", w.log)
				}
				w.stop(t)
			})
		})
	}
}

// Whatever it waits for, its end comes at once, and nothing is left behind: the bubble would not end.
func TestPodWatchEndsAtOnce(t *testing.T) {
	for name, err := range map[string]error{
		"watching":  nil,
		"forbidden": apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no")),
		"refused":   syscall.ECONNREFUSED,
		"too busy":  apierrors.NewTooManyRequests("later", 60),
	} {
		t.Run(name, func(t *testing.T) {
			inBothWays(t, func(t *testing.T, s *podServer) {
				s.answer(err, "list", "watch")
				w := startPodWatch(s)
				time.Sleep(time.Minute)
				began := time.Now()
				w.stop(t)
				if took := time.Since(began); took > 0 {
					t.Errorf("it took %s to end", took)
				}
				before := s.sent()
				time.Sleep(time.Hour)
				if after := s.sent(); after != before {
					t.Errorf("%d requests were sent after its end", after-before)
				}
			})
		})
	}
}

// slowPods answer a list only when its context is done.
type slowPods struct {
	podServer
	answered atomic.Int64
}

func (s *slowPods) List(ctx context.Context, _ metav1.ListOptions) (*corev1.PodList, error) {
	<-ctx.Done()
	time.Sleep(time.Second) // to notice takes a while
	s.answered.Add(1)
	return nil, context.Cause(ctx)
}

// The reflector does not wait for its lists. The watch does.
func TestPodWatchLeavesNoListBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowPods{podServer: podServer{plain: true}}
		w := startPodWatch(s)
		time.Sleep(podListTimeout / 2)
		w.stop(t)
		if n := s.answered.Load(); n != 1 {
			t.Errorf("%d lists had ended when the watch had, want the one that was under way", n)
		}
	})
}

// startPeerReading starts a peer that watches Pods.
func startPeerReading(t *testing.T, store *leasetest.Store, pods PodReader, timings Timings, name string) *peer {
	t.Helper()
	p := &peer{name: name, terms: map[string]*Validity{}, result: make(chan error, 1)}
	var err error
	p.driver, err = NewDriver(DriverOptions{
		Election: Config{
			Group: "g", Namespace: "ns", Timings: timings, Assign: evenly,
			Replica: Replica{Pod: name, Container: "main", Boot: name},
			Shards:  []ShardSpec{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}},
		},
		Client: NewClientFor(store.Client(name, nil)), Handler: p, Clock: MonotonicClock(), Pods: pods,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	p.leave = leave
	go func() { p.result <- p.driver.Run(ctx) }()
	p.driver.Report(Reported{Ready: true})
	return p
}

// The shards of a replica that is known to have died move long before its session expires.
func TestDriverTakesOverFromTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		var dead atomic.Bool
		pods := &podServer{}
		a := startPeerWith(t, store.Client("a", func(ctx context.Context, _ string) error {
			if dead.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}), Relaxed, "a", 0)
		b := startPeerReading(t, &store, pods, Relaxed, "b")
		eventually(t, 2*Relaxed.LeaseDuration, "two each", func() bool { return slices.Equal(counts(a, b), []int{2, 2}) })
		time.Sleep(2 * Relaxed.RenewInterval)

		dead.Store(true)
		time.Sleep(time.Second)
		pod := podWith("a", status("main", terminated("OOMKilled", 137, lineOf("main", "a")), corev1.ContainerState{}))
		pod.UID = types.UID("a") // a peer is no Pod: its boot nonce is in the place of the UID
		pods.write(watch.Added, pod)
		eventually(t, time.Second, "the other holds everything", func() bool { return len(b.holds()) == 4 })

		a.leave()
		if err := <-a.result; !errors.Is(err, ErrNotLeft) {
			t.Errorf("Run of the one that hears nothing returned %v", err)
		}
		b.leave()
		if err := <-b.result; err != nil {
			t.Error(err)
		}
	})
}
