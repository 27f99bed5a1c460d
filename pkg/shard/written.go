// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
)

// maxAnswer bounds how much of an answer is read ahead to learn the
// resourceVersion of what was written; larger ones are passed on unread. An
// object is 1.5 MiB at most.
const maxAnswer = 4 << 20

// noteWritten remembers the resourceVersion that a write got, so that the next
// holder can wait until its cache has seen it. Answers in protobuf are not
// looked into.
func noteWritten(term *Term, req *http.Request, resp *http.Response) {
	resource, ok := resourceOf(req.URL.Path)
	if !ok || resp.StatusCode >= http.StatusMultipleChoices {
		return
	}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return
	}
	ahead, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	rest := resp.Body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(ahead), rest), rest}
	if err != nil || len(ahead) > maxAnswer {
		return // whoever reads on meets the same error
	}
	var object struct {
		Kind     string
		Metadata struct{ ResourceVersion string }
	}
	if json.Unmarshal(ahead, &object) == nil && object.Kind != "Status" && object.Metadata.ResourceVersion != "" {
		term.noteWrite(resource, object.Metadata.ResourceVersion)
	}
}

// resourceOf reads the resource type, as resource.group, from the path of a
// request: /api/v1/... or /apis/<group>/<version>/..., with or without
// namespaces/<namespace>.
func resourceOf(path string) (string, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = "."+parts[1], parts[3:]
	default:
		return "", false
	}
	if len(parts) > 2 && parts[0] == "namespaces" && !isNamespaceSubresource(parts[2]) {
		parts = parts[2:]
	}
	return parts[0] + group, true
}

func isNamespaceSubresource(s string) bool { return s == "status" || s == "finalize" }
