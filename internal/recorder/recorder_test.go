// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
)

// recording is a recorder that runs, and the API that it writes to.
type recording struct {
	*Recorder
	t    *testing.T
	stop func() // and wait for it
	log  strings.Builder

	mu     sync.Mutex
	fail   func() error // nil: every request succeeds
	sent   int
	events map[string]*eventsv1.Event
}

// start runs a recorder in a bubble of synctest.
func start(t *testing.T) *recording {
	t.Helper()
	r := &recording{t: t, events: map[string]*eventsv1.Event{}}
	client := &fake.Clientset{}
	client.AddReactor("*", "events", r.react)
	r.Recorder = newRecorder(client.EventsV1(), Options{Controller: "shardctl.dev", Instance: "operator-a"})
	log := funcr.New(func(_, args string) { r.log.WriteString(args + "\n") }, funcr.Options{})
	ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), log))
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// react is the API: that of the fake clientset takes a thousand times as long.
func (r *recording) react(action clienttesting.Action) (handled bool, _ runtime.Object, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	if r.fail != nil {
		if err := r.fail(); err != nil {
			return true, nil, err
		}
	}
	if create, ok := action.(clienttesting.CreateAction); ok {
		event := create.GetObject().(*eventsv1.Event)
		r.events[event.Name] = event
		return true, event, nil
	}
	patch := action.(clienttesting.PatchAction)
	event := r.events[patch.GetName()]
	if event == nil {
		return true, nil, apierrors.NewNotFound(eventsv1.Resource("events"), patch.GetName())
	}
	return true, event, json.Unmarshal(patch.GetPatch(), event)
}

func (r *recording) failing(how func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = how
}

func (r *recording) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent
}

// written are the Events that the API has.
func (r *recording) written() []*eventsv1.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.events))
}

// counts are how often each was said, as far as the API knows, by the Lease.
func (r *recording) counts() map[string]int {
	all := map[string]int{}
	for _, e := range r.written() {
		n := 1
		if e.Series != nil {
			n = int(e.Series.Count)
		}
		all[e.Regarding.Name] += n
	}
	return all
}

// say says an Event of the Lease.
func (r *recording) say(lease string) {
	r.Eventf(&corev1.ObjectReference{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: "ns", Name: lease, UID: "lease-uid"},
		&corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "ns", Name: "operator-a"},
		corev1.EventTypeNormal, "Acquired", "Acquire", "%s acquired %s", "operator-a", lease)
}

func TestEventIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		now := time.Now()
		r.say("widgets")
		synctest.Wait()
		got := r.written()[0]
		name := got.Name
		got.Name = ""
		want := eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns"}, EventTime: metav1.NewMicroTime(now),
			ReportingController: "shardctl.dev", ReportingInstance: "operator-a",
			Type: "Normal", Reason: "Acquired", Action: "Acquire", Note: "operator-a acquired widgets",
			Regarding: corev1.ObjectReference{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: "ns", Name: "widgets", UID: "lease-uid"},
			Related:   &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "ns", Name: "operator-a"},
		}
		if !strings.HasPrefix(name, "widgets.") || got.String() != want.String() {
			t.Errorf("the Event %s is\n%v\nwant\n%v", name, got, want)
		}
	})
}

func TestWhatIsTooLongIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.Eventf(&corev1.ObjectReference{Kind: "Lease", Namespace: "ns", Name: "widgets"}, nil, "Normal", "Acquired", "Acquire", "%s", strings.Repeat("ä", 1000))
		synctest.Wait()
		if e := r.written()[0]; e.Note != strings.Repeat("ä", maxNote/2) || e.Related != nil {
			t.Errorf("the note has %d bytes, and it is related to %v", len(e.Note), e.Related)
		}
	})
}

// What is said again is counted, and written no more than once a minute.
func TestWhatIsSaidAgainIsASeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		for range 150 { // for 150 s
			r.say("widgets")
			time.Sleep(time.Second)
		}
		if n := r.requests(); n != 3 {
			t.Errorf("%d requests in 150 s, want one at first, and one after each minute", n)
		}
		time.Sleep(seriesPause)
		if got := r.counts()["widgets"]; got != 150 {
			t.Errorf("the count is %d, want 150", got)
		}
		time.Sleep(SeriesTTL + time.Second)
		r.say("gadgets")
		r.say("widgets")
		synctest.Wait()
		if n := len(r.written()); n != 3 {
			t.Errorf("%d Events, want a new one of each: the series has ended", n)
		}
	})
}

// An Event lives for an hour; whoever counts on must not count in vain.
func TestSeriesIsCreatedAnewIfItsEventIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.say("widgets")
		synctest.Wait()
		r.mu.Lock()
		clear(r.events)
		r.mu.Unlock()
		r.say("widgets")
		time.Sleep(seriesPause + time.Second)
		if got := r.counts()["widgets"]; got != 2 {
			t.Errorf("the count is %d, want 2", got)
		}
	})
}

// A thousand shards that change hands at once are no flood.
func TestEventsHaveAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		const said = MaxWaiting + 100
		for i := range said {
			r.say(fmt.Sprint(i))
		}
		synctest.Wait()
		if n := r.requests(); n != maxAtOnce {
			t.Errorf("%d were sent at once, want %d", n, maxAtOnce)
		}
		time.Sleep(time.Minute)
		if n := r.requests(); n < maxAtOnce+59*eventsPerSecond || n > maxAtOnce+61*eventsPerSecond {
			t.Errorf("%d were sent in a minute, want %d per second", n, eventsPerSecond)
		}
		time.Sleep(10 * time.Minute)
		r.stop()
		// Some were written before the last were said.
		n := len(r.written())
		if n < MaxWaiting || n > MaxWaiting+maxAtOnce {
			t.Errorf("%d were written, want the %d that may wait, and those before", n, MaxWaiting)
		}
		told := 0
		for line := range strings.Lines(r.log.String()) {
			var number int
			if _, err := fmt.Sscanf(line[strings.Index(line, `"number"`):], `"number"=%d`, &number); err != nil {
				t.Errorf("line %q: %v", line, err)
			}
			told += number
		}
		if told != said-n {
			t.Errorf("%d were left out, and the log tells of %d: %s", said-n, told, r.log.String())
		}
	})
}

// What was written lately makes room for what is new.
func TestRoomIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		for i := range MaxWaiting {
			r.say(fmt.Sprint(i))
		}
		time.Sleep(5 * time.Minute) // all are written, and might be said again
		r.say("one more")
		synctest.Wait()
		if n := len(r.written()); n != MaxWaiting+1 {
			t.Errorf("%d Events, want %d", n, MaxWaiting+1)
		}
	})
}

func TestEventsWaitForAnAPIServerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.failing(func() error { return errors.New("connection refused") })
		r.say("widgets")
		r.say("gadgets")
		time.Sleep(time.Minute)
		if n := r.requests(); n > 10 {
			t.Errorf("%d requests in a minute", n)
		}
		r.failing(nil)
		time.Sleep(maxPause)
		if got := r.counts(); got["widgets"] != 1 || got["gadgets"] != 1 {
			t.Errorf("written is %v, want both", got)
		}
	})
}

func TestWhatIsRefusedIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.failing(func() error {
			return apierrors.NewForbidden(schema.GroupResource{Group: "events.k8s.io", Resource: "events"}, "", errors.New("no"))
		})
		for i := range 10 {
			r.say(fmt.Sprint(i))
		}
		time.Sleep(2 * tellInterval)
		r.stop()
		if n := r.requests(); n != 10 {
			t.Errorf("%d requests, want one for each Event", n)
		}
		if log := r.log.String(); strings.Count(log, "\n") > 2 || !strings.Contains(log, "forbidden") {
			t.Errorf("the log is %q, want a line or two with the reason", log)
		}
	})
}

// An answer that was lost is no reason to say it twice.
func TestEventThatIsThereAlreadyWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.failing(func() error {
			r.fail = func() error {
				return apierrors.NewAlreadyExists(schema.GroupResource{Resource: "events"}, "widgets")
			}
			return errors.New("connection reset")
		})
		r.say("widgets")
		time.Sleep(time.Minute)
		r.stop()
		if n := r.requests(); n != 2 || r.log.Len() > 0 {
			t.Errorf("%d requests, log %q; want two, and nothing to tell", n, &r.log)
		}
	})
}

// At the end, what waits is written: what is due later, too.
func TestTheLastEventsAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.say("widgets")
		synctest.Wait()
		r.say("widgets")
		r.say("gadgets")
		r.stop()
		if got := r.counts(); got["widgets"] != 2 || got["gadgets"] != 1 {
			t.Errorf("written is %v, want all that was said", got)
		}
	})
}

func TestTheEndIsBounded(t *testing.T) {
	for name, fail := range map[string]func() error{
		"too many":  nil,
		"no answer": func() error { return errors.New("connection refused") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t)
				r.failing(fail)
				for i := range MaxWaiting {
					r.say(fmt.Sprint(i))
				}
				synctest.Wait()
				began := time.Now()
				r.stop()
				if took := time.Since(began); took > FlushTimeout {
					t.Errorf("it took %s to end, want %s at most", took, FlushTimeout)
				}
				left := MaxWaiting - len(r.written())
				if log := r.log.String(); !strings.Contains(log, fmt.Sprintf(`"number"=%d `, left)) {
					t.Errorf("%d were left out, and the log is %q", left, log)
				}
			})
		})
	}
}

// Before it runs, and after it has ended, nothing waits for it.
func TestEventfNeverWaits(t *testing.T) {
	r := newRecorder((&fake.Clientset{}).EventsV1(), Options{Controller: "shardctl.dev", Instance: strings.Repeat("a", 200)})
	for i := range 2 * MaxWaiting {
		r.Eventf(&corev1.ObjectReference{Kind: "Lease", Namespace: "ns", Name: fmt.Sprint(i)}, nil, "Normal", "Acquired", "Acquire", "note")
	}
	if len(r.waiting) != MaxWaiting || len(r.instance) != maxInstance {
		t.Errorf("%d wait, said by %q", len(r.waiting), r.instance)
	}
	if !slices.IsSortedFunc(r.waiting, func(a, b *entry) int { return a.due.Compare(b.due) }) {
		t.Error("they do not wait in the order in which they were said")
	}
}
