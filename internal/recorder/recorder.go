// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record/util"
	"k8s.io/client-go/tools/reference"
	"k8s.io/client-go/util/flowcontrol"
)

const (
	// MaxWaiting bounds the Events that wait to be written, or to be said again.
	MaxWaiting = 1000
	// SeriesTTL is for how long after it was written an Event that is said again counts
	// as the same.
	SeriesTTL = 6 * time.Minute
	// FlushTimeout is how long, at the end, what waits may take to be written.
	FlushTimeout = 2 * time.Second

	// A hand-over of the shards of one replica is told at once; of a thousand, within
	// minutes: nobody reads them sooner, and every Event is a write to etcd.
	eventsPerSecond = 5
	maxAtOnce       = 50

	// seriesPause is how often the count of an Event is written.
	seriesPause = time.Minute

	// Limits of the API.
	maxNote     = 1024
	maxInstance = 128
)

// Options of a [Recorder]. All are required.
type Options struct {
	// Config is that of the API server. Its rate limit is not used.
	Config *rest.Config
	// Controller is the name of whoever tells: a qualified name, such as example.com/name.
	Controller string
	// Instance is which one, such as the name of its Pod.
	Instance string
}

// Recorder writes Events while it runs.
type Recorder struct {
	client     eventsclient.EventsV1Interface
	controller string
	instance   string
	pace       flowcontrol.RateLimiter
	wake       chan struct{} // has one if something waits that did not

	mu      sync.Mutex
	waiting []*entry       // to be written, in this order; some not yet
	known   map[key]*entry // these, and those written lately
	omitted int            // not written, and not told yet
}

var _ events.EventRecorder = (*Recorder)(nil)

// New makes a recorder. It writes nothing before [Recorder.Run].
func New(o Options) (*Recorder, error) {
	cfg := rest.CopyConfig(o.Config)
	cfg.QPS = -1 // it has a pace of its own
	client, err := eventsclient.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("client for Events: %w", err)
	}
	return newRecorder(client, o), nil
}

func newRecorder(client eventsclient.EventsV1Interface, o Options) *Recorder {
	return &Recorder{
		client: client, controller: o.Controller, instance: shorten(o.Instance, maxInstance),
		pace: flowcontrol.NewTokenBucketRateLimiter(eventsPerSecond, maxAtOnce),
		wake: make(chan struct{}, 1), known: map[key]*entry{},
	}
}

// key is what makes two Events the same.
type key struct{ kind, reason, action, note, regarding, related string }

// entry is an Event, and how often it was said. Recorder.mu guards it; only Run reads the
// event once it waits.
type entry struct {
	key     key
	event   *eventsv1.Event
	count   int32
	last    time.Time // when it was said last
	due     time.Time // when to write it
	told    int32     // the count that is written; 0: nothing is
	written time.Time // when
	queued  bool
	tries   int
}

// Eventf says an Event. It returns at once.
func (r *Recorder) Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any) {
	about, err := reference.GetReference(scheme.Scheme, regarding)
	if err != nil {
		r.omit()
		return
	}
	var with *corev1.ObjectReference
	if related != nil {
		if with, err = reference.GetReference(scheme.Scheme, related); err != nil {
			with = nil // it says less without
		}
	}
	now, text := time.Now(), shorten(fmt.Sprintf(note, args...), maxNote)
	k := key{eventtype, reason, action, text, about.String(), with.String()}
	r.say(k, now, &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: about.Namespace, Name: util.GenerateEventName(about.Name, now.UnixNano())},
		EventTime:  metav1.NewMicroTime(now), ReportingController: r.controller, ReportingInstance: r.instance,
		Action: action, Reason: reason, Type: eventtype, Note: text, Regarding: *about, Related: with,
	})
}

func (r *Recorder) omit() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.omitted++
}

// say takes an Event that is new, or counts one that is not.
func (r *Recorder) say(k key, now time.Time, event *eventsv1.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.known[k]
	if e == nil || !e.queued && now.Sub(e.written) > SeriesTTL {
		if len(r.known) >= MaxWaiting {
			r.forget(now)
		}
		if len(r.known) >= MaxWaiting {
			r.omitted++
			return
		}
		e = &entry{key: k, event: event, due: now}
		r.known[k] = e
	}
	e.count++
	e.last = now
	if e.queued {
		return
	}
	if e.told > 0 {
		e.due = e.written.Add(seriesPause)
	}
	e.queued = true
	r.waiting = append(r.waiting, e)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// forget makes room: what is written and was not said again lately; then what is written
// at all. r.mu is held.
func (r *Recorder) forget(now time.Time) {
	for _, ttl := range []time.Duration{SeriesTTL, 0} {
		for k, e := range r.known {
			if !e.queued && now.Sub(e.written) >= ttl {
				delete(r.known, k)
			}
		}
		if len(r.known) < MaxWaiting {
			return
		}
	}
}

// next is the first that is to be written now, or nil and how long until then. At the end
// everything is to be written.
func (r *Recorder) next(ending bool) (_ *entry, pause time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pause = SeriesTTL
	for _, e := range r.waiting {
		left := time.Until(e.due)
		if left <= 0 || ending {
			return e, 0
		}
		pause = min(pause, left)
	}
	return nil, pause
}

// snapshot is an entry's Event as it is to be written now.
func (r *Recorder) snapshot(e *entry) *eventsv1.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	event := e.event.DeepCopy()
	if e.count > 1 {
		event.Series = &eventsv1.EventSeries{Count: e.count, LastObservedTime: metav1.NewMicroTime(e.last)}
	}
	return event
}

// done takes an entry that was written, with this count, out of the queue, unless it was
// said again meanwhile.
func (r *Recorder) done(e *entry, count int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.told, e.written, e.tries = count, time.Now(), 0
	if e.count > count {
		e.due = e.written.Add(seriesPause)
		return
	}
	r.leave(e)
}

// give up an entry.
func (r *Recorder) giveUp(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.omitted++
	delete(r.known, e.key)
	r.leave(e)
}

func (r *Recorder) leave(e *entry) {
	e.queued = false
	r.waiting = slices.DeleteFunc(r.waiting, func(other *entry) bool { return other == e })
}

// takeOmitted is how many Events were left out since the last call; all that wait, too, at
// the end.
func (r *Recorder) takeOmitted(ending bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, r.omitted = r.omitted, 0
	if ending {
		n += len(r.waiting)
	}
	return n
}

// shorten cuts a text to so many bytes, between two characters.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// sleep returns after d, or when done is closed or wake has something.
func sleep(done <-chan struct{}, wake <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-wake:
	case <-timer.C:
	}
}

// Run writes what is said until ctx is done, and then what waits, for [FlushTimeout] at
// most. It returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	bounded, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(FlushTimeout, end) })()
	teller := &teller{recorder: r}
	for {
		teller.tell(ctx, false)
		e, pause := r.next(ctx.Err() != nil)
		switch {
		case bounded.Err() != nil, e == nil && ctx.Err() != nil:
			teller.tell(ctx, true)
			return nil
		case e == nil:
			sleep(ctx.Done(), r.wake, pause)
		case r.pace.Wait(bounded) == nil:
			r.write(ctx, bounded, e, teller)
		}
	}
}
