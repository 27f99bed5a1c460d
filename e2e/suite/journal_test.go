// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// journal is everything that was written in a namespace, in the order in which etcd took it.
type journal struct {
	namespace string
	shards    map[string][]reign // by shard: what its Lease said, oldest first
	writes    []write            // of all other objects
}

// reign is what a shard Lease said from a revision on.
type reign struct {
	revision uint64
	at       time.Time
	holder   string
	epoch    int32
}

// write is one write by a Pod that succeeded. Deletions are not among them: the API server does not say at which revision
// they happened.
type write struct {
	revision uint64
	at       time.Time
	podName  string
	podUID   types.UID
	verb     string
	resource string // resource.group
	name     string
	uid      types.UID
	// owner is the kind of the object's controller, empty if it has none.
	owner string
}

// auditEvent is what is read of an audit.k8s.io/v1 Event.
type auditEvent struct {
	Stage     string           `json:"stage"`
	Verb      string           `json:"verb"`
	Received  metav1.MicroTime `json:"requestReceivedTimestamp"`
	ObjectRef struct {
		Resource  string `json:"resource"`
		Namespace string `json:"namespace"`
		APIGroup  string `json:"apiGroup"`
		Name      string `json:"name"`
	} `json:"objectRef"`
	User struct {
		Extra map[string][]string `json:"extra"`
	} `json:"user"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	ResponseObject json.RawMessage `json:"responseObject"`
}

// What the API server adds to the user of a token that is bound to a Pod.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// readJournal reads the audit log as it is now. What became of a Lease by a request that was not answered, since it took too
// long, is not in there: etcd tells that.
func readJournal(t *testing.T, group, namespace string) *journal {
	t.Helper()
	j := &journal{namespace: namespace, shards: map[string][]reign{}}
	seen := map[string]bool{} // an update that changes nothing gets the revision of the last that did
	answered := map[uint64]bool{}
	for _, event := range readAudit(t, namespace) {
		var written metav1.PartialObjectMetadata
		if err := json.Unmarshal(event.ResponseObject, &written); err != nil {
			t.Fatalf("audit log: %v", err)
		}
		revision, err := strconv.ParseUint(written.ResourceVersion, 10, 64)
		if err != nil {
			continue // what is not stored, such as a token
		}
		id := event.ObjectRef.Resource + "/" + written.Name + "@" + written.ResourceVersion
		if seen[id] {
			continue
		}
		seen[id] = true
		if event.ObjectRef.Resource == "leases" {
			answered[revision] = true
			j.addLease(t, group, revision, event)
			continue
		}
		j.addWrite(event, revision, &written)
	}
	j.addUnanswered(t, group, answered)
	slices.SortFunc(j.writes, func(a, b write) int { return cmp.Compare(a.revision, b.revision) })
	for _, reigns := range j.shards {
		slices.SortFunc(reigns, func(a, b reign) int { return cmp.Compare(a.revision, b.revision) })
	}
	return j
}

func (j *journal) addLease(t *testing.T, group string, revision uint64, event auditEvent) {
	t.Helper()
	var l coordinationv1.Lease
	if err := json.Unmarshal(event.ResponseObject, &l); err != nil {
		t.Fatal(err)
	}
	if l.Labels[lease.LabelKind] != lease.KindShard {
		return
	}
	shard := strings.TrimPrefix(l.Name, group+".")
	j.shards[shard] = append(j.shards[shard], reign{
		revision: revision,
		at:       event.Received.Time,
		holder:   ptr.Deref(l.Spec.HolderIdentity, ""),
		epoch:    ptr.Deref(l.Spec.LeaseTransitions, 0),
	})
}

// addUnanswered adds what the shard Leases said by requests that are not in the audit log.
func (j *journal) addUnanswered(t *testing.T, group string, answered map[uint64]bool) {
	t.Helper()
	newest := int64(0)
	for revision := range answered {
		newest = max(newest, int64(revision))
	}
	if err := shardLeases.WaitFor(t.Context(), newest); err != nil {
		t.Fatal(err)
	}
	for _, e := range shardLeases.Events() {
		shard, ours := strings.CutPrefix(e.Key.Name, group+".")
		if !ours || e.Key.Namespace != j.namespace || e.Deleted || answered[uint64(e.Revision)] || j.shards[shard] == nil {
			continue
		}
		t.Logf("revision %d: what Lease %s says then was written by a request that was not answered", e.Revision, e.Key.Name)
		j.shards[shard] = append(j.shards[shard], reign{revision: uint64(e.Revision), at: e.At, holder: e.Object.Lease.Holder, epoch: e.Object.Lease.Epoch})
	}
}

func (j *journal) addWrite(event auditEvent, revision uint64, written *metav1.PartialObjectMetadata) {
	pod := event.User.Extra[extraPodName]
	if len(pod) == 0 {
		return // the test itself, or a controller of Kubernetes
	}
	w := write{
		revision: revision,
		at:       event.Received.Time,
		podName:  pod[0],
		podUID:   types.UID(event.User.Extra[extraPodUID][0]),
		verb:     event.Verb,
		resource: strings.TrimSuffix(event.ObjectRef.Resource+"."+event.ObjectRef.APIGroup, "."),
		name:     written.Name,
		uid:      written.UID,
	}
	if owner := metav1.GetControllerOfNoCopy(written); owner != nil {
		w.owner = owner.Kind
	}
	j.writes = append(j.writes, w)
}

// readAudit returns the successful writes in a namespace, in the order in which they were answered.
func readAudit(t *testing.T, namespace string) []auditEvent {
	t.Helper()
	file, err := os.Open(controlPlane.AuditLogPath())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mark := []byte(`"namespace":"` + namespace + `"`)
	var events []auditEvent
	for lines := bufio.NewReaderSize(file, 1<<20); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events // what has no end of line yet is a request that is under way
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(line, mark) {
			continue
		}
		var event auditEvent
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("audit log: %v", err)
		}
		written := slices.Contains([]string{"create", "update", "patch"}, event.Verb)
		if written && event.Stage == "ResponseComplete" && event.ResponseStatus.Code < 300 && event.ObjectRef.Namespace == namespace {
			events = append(events, event)
		}
	}
}

// holderAt is the session that the shard's Lease named when the revision was written; empty if none.
func (j *journal) holderAt(shard string, revision uint64) reign {
	var now reign
	for _, r := range j.shards[shard] {
		if r.revision > revision {
			break
		}
		now = r
	}
	return now
}

// checkExclusion fails the test for every write of a Pod that did not hold the shard of what it wrote: of an object its
// type's, of an attachment that of its controller's type. It returns how many writes were looked at.
func (j *journal) checkExclusion(t *testing.T, types ...resourceType) (looked int) {
	t.Helper()
	for _, w := range j.writes {
		i := slices.IndexFunc(types, func(r resourceType) bool { return w.resource == r.shard() || w.owner == r.kind })
		if i < 0 {
			continue
		}
		looked++
		holder := j.holderAt(types[i].shard(), w.revision)
		if id, err := lease.ParseIdentity(holder.holder); err != nil || id.UID != w.podUID {
			t.Errorf("revision %d: %s wrote (%s) %s %s, while %s was held by %q (epoch %d, since revision %d)",
				w.revision, w.podName, w.verb, w.resource, w.name, types[i].shard(), holder.holder, holder.epoch, holder.revision)
		}
	}
	if looked == 0 {
		t.Error("no write of any replica is in the audit log: nothing was proved")
	}
	return looked
}

// checkEpochs fails the test unless the epoch of each shard went up by one with each new holder, and never down. (A session
// that gives a shard to itself again begins a new term too.)
func (j *journal) checkEpochs(t *testing.T) {
	t.Helper()
	for shard, reigns := range j.shards {
		for i, r := range reigns[1:] {
			before := reigns[i]
			gained := r.holder != before.holder && r.holder != ""
			if rise := r.epoch - before.epoch; rise < 0 || rise > 1 || gained && rise != 1 {
				t.Errorf("shard %s, revision %d: epoch %d of %q follows epoch %d of %q",
					shard, r.revision, r.epoch, r.holder, before.epoch, before.holder)
			}
		}
	}
}

// checkNeverReleased fails the test if a shard had no holder at any time after its first.
func (j *journal) checkNeverReleased(t *testing.T) {
	t.Helper()
	for shard, reigns := range j.shards {
		held := false
		for _, r := range reigns {
			if held && r.holder == "" {
				t.Errorf("shard %s was without a holder from revision %d on", shard, r.revision)
			}
			held = held || r.holder != ""
		}
	}
}

// moves are all times at which a shard got another holder than before.
func (j *journal) moves() []reign {
	var moves []reign
	for _, reigns := range j.shards {
		for i, r := range reigns {
			if r.holder != "" && (i == 0 || r.holder != reigns[i-1].holder) {
				moves = append(moves, r)
			}
		}
	}
	return moves
}
