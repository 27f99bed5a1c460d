// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// A connection that breaks tells nothing of the write on it: the API server may
// still carry it out (R13). Such a write counts as under way until one of these
// comes true, and the shard is not given away before.
//
//   - The object, read back, shows that it cannot be carried out any more: see
//     [proof]. It is read only once somebody waits for that, so a shard that stays
//     costs nothing.
//   - settleFor has passed. The API server ends a request after a minute by
//     default (its flag --request-timeout), and when it sees the connection break.
//   - The drain time-out or the validity has passed, as for any other write.
const settleFor = time.Minute

// How often an object is read back.
const (
	minReadBackPause = 20 * time.Millisecond
	maxReadBackPause = time.Second
)

// settle waits until a write that got no answer counts as over.
func (f *fencedTransport) settle(write *http.Request, term *Term) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(write.Context()), settleFor)
	defer cancel()
	defer term.whenOver(cancel)()
	proof, readable := f.proofOf(write)
	select {
	case <-ctx.Done():
		return
	case <-term.closing.Done():
	}
	if !readable {
		<-ctx.Done()
		return
	}
	pauses := wait.Backoff{Duration: minReadBackPause, Factor: 2, Jitter: 0.25, Steps: 6, Cap: maxReadBackPause}
	for !f.readBack(ctx, proof, term) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pauses.Step()):
		}
	}
}

// proof is how an object shows that a write to it, if it is carried out from now
// on, changes nothing.
type proof struct {
	read     *http.Request // of the object
	resource string
	shown    func(o *objectMeta) bool // nil: there is no such object
}

// proofOf finds one for writes that the API server carries out upon a condition:
// a creation, unless the name is left to the API server; an update or a patch with
// a resourceVersion; a deletion of a certain UID.
func (f *fencedTransport) proofOf(write *http.Request) (*proof, bool) {
	to, ok := targetOf(f.asServed(write).URL.Path)
	body, sent := bodyOf(write)
	if !ok || !sent || to.streams() {
		return nil, false
	}
	p := &proof{resource: to.resource}
	switch had := body.Metadata; {
	case write.Method == http.MethodPost && to.name == "" && had.Name != "":
		to.name = had.Name
		p.shown = func(o *objectMeta) bool { return o != nil }
	case (write.Method == http.MethodPut || write.Method == http.MethodPatch) && to.name != "" && had.ResourceVersion != "":
		p.shown = func(o *objectMeta) bool { return o == nil || o.Metadata.ResourceVersion != had.ResourceVersion }
	case write.Method == http.MethodDelete && to.name != "" && body.Preconditions.UID != "":
		p.shown = func(o *objectMeta) bool {
			return o == nil || o.Metadata.UID != body.Preconditions.UID || o.Metadata.DeletionTimestamp != nil
		}
	default:
		return nil, false
	}
	p.read = f.readOf(write, to.object())
	return p, true
}

// sentBody is what a write says of the object that it is for.
type sentBody struct {
	objectMeta
	Preconditions struct{ UID string } // of a deletion
}

// bodyOf reads the body of a write that was sent, if it can be had again, is JSON
// and not larger than an object can be.
func bodyOf(write *http.Request) (b sentBody, ok bool) {
	if write.GetBody == nil || write.ContentLength > maxAnswer {
		return b, false
	}
	body, err := write.GetBody()
	if err != nil {
		return b, false
	}
	defer body.Close()
	all, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	return b, err == nil && json.Unmarshal(all, &b) == nil
}

// readOf is a request for an object, by its path on the API server, by whoever sent
// the write.
func (f *fencedTransport) readOf(write *http.Request, path string) *http.Request {
	read := write.Clone(context.WithoutCancel(write.Context()))
	read.Method, read.Body, read.GetBody, read.ContentLength = http.MethodGet, nil, nil, 0
	read.URL.Path, read.URL.RawPath, read.URL.RawQuery = f.base+path, "", ""
	read.Header.Del("Content-Type")
	read.Header.Set("Accept", "application/json")
	return read
}

// readBack reads the object, from etcd and not from any cache, and tells whether
// it shows the proof. What is read is at least as new as what the write has left
// behind, and the next holder has to have seen that.
func (f *fencedTransport) readBack(ctx context.Context, p *proof, term *Term) bool {
	resp, err := f.next.RoundTrip(p.read.WithContext(ctx))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotFound:
		return p.shown(nil)
	case http.StatusOK:
		o, ok := metaIn(resp)
		if !ok || !p.shown(&o) {
			return false
		}
		term.noteWrite(p.resource, o.Metadata.ResourceVersion)
		return true
	}
	return false
}

// lostAnswers are in what an API server says that got none from etcd: etcd's own words,
// those of a connection that broke, and those of a time-out.
var lostAnswers = []string{"etcdserver: ", "rpc error: code = ", "context deadline exceeded", "context canceled"}

// unresolved tells of an answer whether the write may still be carried out: that
// of a proxy that got none itself, of an API server that ran out of time, or that
// lost etcd's answer.
func unresolved(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusInternalServerError:
		said := peek(resp, maxRefusal)
		return slices.ContainsFunc(lostAnswers, func(words string) bool { return bytes.Contains(said, []byte(words)) })
	}
	return false
}
