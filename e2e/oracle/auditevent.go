// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// What the API server adds to the user of a token that is bound to a Pod.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// The stages of a request that are of interest. The first is in the log only if the audit policy does not omit it.
const (
	stageReceived = "RequestReceived"
	stageComplete = "ResponseComplete"
	stagePanic    = "Panic"
)

// auditEvent is what is read of an audit.k8s.io/v1 Event.
type auditEvent struct {
	AuditID   types.UID        `json:"auditID"`
	Stage     string           `json:"stage"`
	Verb      string           `json:"verb"`
	Received  metav1.MicroTime `json:"requestReceivedTimestamp"`
	Stamp     metav1.MicroTime `json:"stageTimestamp"`
	ObjectRef *struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		APIGroup    string `json:"apiGroup"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	User struct {
		Username string              `json:"username"`
		Extra    map[string][]string `json:"extra"`
	} `json:"user"`
	ResponseStatus struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"responseStatus"`
	ResponseObject json.RawMessage `json:"responseObject"`
}

// answered is what is read of the answer to a write: the object, the Status of a deletion, or the list of what was deleted.
type answered struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Details  struct {
		UID types.UID `json:"uid"`
	} `json:"details"`
	Items []struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	} `json:"items"`
}

// Writer is whose request a write was.
type Writer struct {
	// Pod is the UID of the Pod that the token is bound to; empty of a user who is no replica.
	Pod types.UID
	// PodName is empty of a replica that only its own word tells.
	PodName string
	User    string
}

func (e *auditEvent) writer() Writer {
	first := func(key string) string {
		if of := e.User.Extra[key]; len(of) > 0 {
			return of[0]
		}
		return ""
	}
	return Writer{Pod: types.UID(first(extraPodUID)), PodName: first(extraPodName), User: e.User.Username}
}

func (e *auditEvent) key() Key {
	return Key{
		Resource:  schema.GroupResource{Group: e.ObjectRef.APIGroup, Resource: e.ObjectRef.Resource},
		Namespace: e.ObjectRef.Namespace,
		Name:      e.ObjectRef.Name,
	}
}

func (e *auditEvent) succeeded() bool {
	return e.ResponseStatus.Code >= http.StatusOK && e.ResponseStatus.Code < http.StatusMultipleChoices
}

// mayHaveWritten says that the answer, if there is one, does not tell whether the request was carried out. What the API server
// itself refuses is refused before.
func (e *auditEvent) mayHaveWritten() bool {
	code := e.ResponseStatus.Code
	return e.Stage != stageComplete || code == 0 || code == http.StatusRequestTimeout || code >= 499 // client closed request
}

// request is one that may have been carried out.
type request struct {
	id      types.UID
	writer  Writer
	deletes bool
	from    time.Time
	until   time.Time // zero if it was never answered
}

var writingVerbs = []string{"create", "update", "patch", "delete", "deletecollection"}

func (e *auditEvent) deletes() bool { return e.Verb == "delete" || e.Verb == "deletecollection" }

// parseAuditLine reads one line; nil if it is not about a write.
func parseAuditLine(line []byte) (*auditEvent, error) {
	if !slices.ContainsFunc(writingVerbs, func(verb string) bool { return bytes.Contains(line, []byte(`"verb":"`+verb+`"`)) }) {
		return nil, nil
	}
	var e auditEvent
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, fmt.Errorf("%w: %.200s", err, line)
	}
	if e.ObjectRef == nil || !slices.Contains(writingVerbs, e.Verb) || !slices.Contains([]string{stageReceived, stageComplete, stagePanic}, e.Stage) {
		return nil, nil
	}
	return &e, nil
}
