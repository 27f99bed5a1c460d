// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ErrBlind is why a recorder ends that cannot know everything any more.
var ErrBlind = errors.New("the oracle is blind")

const (
	// defaultMaxEvents bounds what is kept, to about 2 GiB.
	defaultMaxEvents = 4_000_000
	dialTimeout      = 5 * time.Second
	// keepAlive is how soon a connection to an etcd that has gone without a word is given up.
	keepAlive = 5 * time.Second
	// progressPoll is how often etcd is asked how far it has told everything.
	progressPoll = 20 * time.Millisecond
)

// Options of a [Recorder]. Endpoints are required.
type Options struct {
	// Endpoints are etcd's client URLs.
	Endpoints []string
	// TLS is the client's; nil for none.
	TLS *tls.Config
	// From is the revision to begin with, for a control plane whose history is not kept from the beginning: of what was there
	// before only what happens from then on is seen, and nothing of its deletion. Default: the first.
	From int64
	// Prefix is where the API server keeps its objects. Default: "/registry/".
	Prefix string
	// Under is the part of it to watch, such as "leases/". Default: all.
	Under string
	// Keep says which objects are of interest; of the key's resource the group may be missing where the type is a built-in
	// one. Default: all in namespaces.
	Keep func(Key) bool
	// Settled says of an object of a custom type whether all that it wants is done. It is called for every version of every
	// object, from one goroutine. Default: it always is.
	Settled func(*unstructured.Unstructured) bool
	// MaxEvents limits what is kept in memory, at some 500 bytes each; beyond it the recorder is blind. Default: 4,000,000.
	MaxEvents int
}

func (o Options) withDefaults() (Options, error) {
	var errs []error
	if len(o.Endpoints) == 0 {
		errs = append(errs, errors.New("endpoints: none are given: use etcd's client URLs"))
	}
	if o.From < 0 {
		errs = append(errs, fmt.Errorf("from: %d is negative: use 0 for the first revision", o.From))
	}
	if o.MaxEvents < 0 {
		errs = append(errs, fmt.Errorf("maxEvents: %d is negative: use 0 for the default of %d", o.MaxEvents, defaultMaxEvents))
	}
	if len(errs) > 0 {
		return o, fmt.Errorf("oracle options: %w", errors.Join(errs...))
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Keep == nil {
		o.Keep = func(k Key) bool { return k.Namespace != "" }
	}
	o.From = max(o.From, 1)
	if o.MaxEvents == 0 {
		o.MaxEvents = defaultMaxEvents
	}
	return o, nil
}

// Recorder keeps everything of interest that has happened in etcd since its first revision, or another one. Its methods may be
// called from several goroutines.
type Recorder struct {
	options Options
	client  *clientv3.Client
	cancel  context.CancelFunc
	ended   chan struct{} // closed when nothing of it runs any more

	mu       sync.Mutex
	events   []Event // only ever appended to
	current  map[Key]*Object
	revision int64
	changed  chan struct{} // closed and replaced whenever revision rises
	err      error         // why it has ended; nil while it runs and after Stop
}

// Start begins to watch. The context ends the watch as Stop does. That etcd cannot be reached is no error: it is tried until it
// can be, as it is when etcd is restarted.
func Start(ctx context.Context, options Options) (*Recorder, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	client, err := clientv3.New(clientv3.Config{
		Context: ctx, Endpoints: options.Endpoints, TLS: options.TLS, Logger: zap.NewNop(),
		DialTimeout: dialTimeout, DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: keepAlive,
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("oracle: connect to etcd: %w", err)
	}
	r := &Recorder{
		options: options, client: client, cancel: cancel, ended: make(chan struct{}),
		current: map[Key]*Object{}, changed: make(chan struct{}),
	}
	go r.run(ctx)
	return r, nil
}

// Stop ends the watch, and returns what has ended it before. The events stay.
func (r *Recorder) Stop() error {
	r.cancel()
	<-r.ended
	return r.Err()
}

// Err is why the recorder has ended by itself, an [ErrBlind]; nil if it has not.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Revision is up to which everything has been seen.
func (r *Recorder) Revision() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revision
}

// Events are all there are so far, oldest first. The caller must not change them.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clip(r.events)
}

// WaitFor waits until everything up to a revision has been seen. It fails if the recorder ends before, or the context is done.
func (r *Recorder) WaitFor(ctx context.Context, revision int64) error {
	tick := time.NewTicker(progressPoll)
	defer tick.Stop()
	for {
		r.mu.Lock()
		seen, changed, err := r.revision, r.changed, r.err
		r.mu.Unlock()
		if seen >= revision {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-tick.C:
			// What is not of interest makes no event, so etcd has to be asked. It answers on the watch; if it cannot be asked,
			// because the watch is ending or begins anew, it is asked again.
			_ = r.client.RequestProgress(ctx)
		case <-r.ended:
			if err := r.Err(); err != nil {
				return err
			}
			return fmt.Errorf("oracle: stopped at revision %d, before revision %d", r.Revision(), revision)
		case <-ctx.Done():
			return fmt.Errorf("oracle: wait for revision %d, at revision %d: %w", revision, r.Revision(), context.Cause(ctx))
		}
	}
}

// run owns the client. The watch goes on by itself, from where it was, when etcd has been away.
func (r *Recorder) run(ctx context.Context) {
	defer close(r.ended)
	if err := r.watch(ctx); ctx.Err() == nil {
		r.fail(err)
	}
	_ = r.client.Close() // all that it could say is that the watch has ended
}

func (r *Recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = fmt.Errorf("%w after revision %d: %w", ErrBlind, r.revision, err)
}

func (r *Recorder) watch(ctx context.Context) error {
	for answer := range r.client.Watch(ctx, r.options.Prefix+r.options.Under, clientv3.WithPrefix(), clientv3.WithRev(r.options.From)) {
		if err := answer.Err(); err != nil {
			return err
		}
		at := time.Now()
		for _, event := range answer.Events {
			if err := r.take(event, at); err != nil {
				return fmt.Errorf("revision %d, %s: %w", event.Kv.ModRevision, event.Kv.Key, err)
			}
		}
		switch n := len(answer.Events); {
		case n > 0:
			r.reach(answer.Events[n-1].Kv.ModRevision)
		case answer.IsProgressNotify():
			r.reach(answer.Header.Revision)
		}
	}
	return errors.New("the watch has ended")
}

// reach notes up to where everything has been seen. (With events the answer's own revision is that of the server, which may
// have more to tell.)
func (r *Recorder) reach(revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if revision > r.revision {
		r.revision = revision
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

func (r *Recorder) take(event *clientv3.Event, at time.Time) error {
	key, ok := parseKey(r.options.Prefix, string(event.Kv.Key))
	if !ok || !r.options.Keep(key) {
		return nil
	}
	taken := Event{Revision: event.Kv.ModRevision, At: at, Deleted: event.Type == mvccpb.DELETE}
	previous := r.current[key] // by the key as etcd has it, for a deletion tells no more
	taken.Previous = previous
	if taken.Deleted {
		taken.Object = previous
		delete(r.current, key)
	} else {
		object, err := decode(event.Kv.Value, r.options.Settled)
		if err != nil {
			return err
		}
		taken.Object, r.current[key] = object, object
	}
	if taken.Object == nil && r.options.From > 1 {
		return nil // it was there before
	}
	if taken.Object == nil {
		return errors.New("it is deleted and was never created")
	}
	key.Resource.Group = taken.Object.group
	taken.Key = key
	return r.keep(taken)
}

func (r *Recorder) keep(event Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == r.options.MaxEvents {
		return fmt.Errorf("there are %d events already, which is as many as may be kept", len(r.events))
	}
	r.events = append(r.events, event)
	return nil
}
