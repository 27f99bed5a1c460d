// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
)

const (
	// maxAnswer bounds how much of an answer is read ahead to learn the
	// resourceVersion of what was written; larger ones are passed on unread. An
	// object is 1.5 MiB at most.
	maxAnswer = 4 << 20
	// maxRefusal bounds how much is read ahead of an answer that says no.
	maxRefusal = 64 << 10
)

// peek reads ahead in an answer, up to limit bytes. Whoever reads the body gets
// all of it, and meets the same error if there is one.
func peek(resp *http.Response, limit int64) []byte {
	ahead, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	tail := io.Reader(resp.Body)
	if err != nil {
		tail = failing{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(ahead), tail), resp.Body}
	return ahead
}

// failing is the rest of a body that broke off.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// objectMeta is what the fence looks at of an object.
type objectMeta struct {
	Kind     string
	Metadata struct {
		Name              string
		UID               string
		ResourceVersion   string
		DeletionTimestamp *string
	}
}

// noteWritten remembers the resourceVersion that a write got, so that the next
// holder can wait until its cache has seen it. Answers in protobuf are not
// looked into.
func noteWritten(term *Term, req *http.Request, resp *http.Response) {
	to, ok := targetOf(req.URL.Path)
	if !ok || to.streams() || resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		return
	}
	if o, ok := metaIn(resp); ok && o.Kind != "Status" && o.Metadata.ResourceVersion != "" {
		term.noteWrite(to.resource, o.Metadata.ResourceVersion)
	}
}

// metaIn reads ahead in an answer for the object in it, if that is JSON and not too
// large.
func metaIn(resp *http.Response) (o objectMeta, ok bool) {
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return o, false
	}
	ahead := peek(resp, maxAnswer+1)
	if len(ahead) > maxAnswer {
		return o, false
	}
	return o, json.Unmarshal(ahead, &o) == nil
}
