// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"net/http"
	"time"
)

const (
	// pace is how far apart looks at the group are at least. A group of 20 members
	// has seven heartbeats a second, and nobody reads faster than this.
	pace = 500 * time.Millisecond
	// tick is how often a group is looked at in which nothing changes: that is how
	// sessions lapse, moves become history and a view becomes old.
	tick = time.Second
)

// Dashboard is the page of one replica. Its handler may be used before and after
// it runs: it then shows a group of which nothing was seen yet, or no more.
type Dashboard struct {
	options Options
	feed    *feed
	slots   chan struct{} // one for each stream that is open
}

// New makes a dashboard, or says which option cannot be used.
func New(o Options) (*Dashboard, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Dashboard{options: o, feed: newFeed(newObserver(o).blank(time.Now())), slots: make(chan struct{}, maxStreams)}, nil
}

// Handler serves the page at /, the stream of events at /events, and below /assets/
// what the page is made of. It answers GET and HEAD only.
func (d *Dashboard) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, page := range pages() {
		mux.Handle("GET "+path, page)
	}
	mux.HandleFunc("GET /events", d.serveEvents)
	return guarded(mux)
}

// Run follows the group until the context is done, which is no error. It is to be
// called once; all streams end with it.
func (d *Dashboard) Run(ctx context.Context) error {
	defer d.feed.close()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	o := newObserver(d.options)
	leases, changed := d.options.Leases()
	fresh := len(leases) > 0
	for {
		d.feed.publish(o.look(leases, fresh, time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pace):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			fresh = true
			leases, changed = d.options.Leases()
		case <-ticker.C:
			fresh = false
		}
	}
}
