// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
)

// What the Leases of a group carry. Names are part of the protocol: replicas
// of different versions run side by side.
const (
	LabelGroup = "shardctl.dev/group" // on every Lease: the group's name
	LabelKind  = "shardctl.dev/kind"  // KindMember, KindShard or KindLayout
	LabelShard = "shardctl.dev/shard" // on a shard Lease whose shard's name fits a label

	// LabelFamily is on every shard Lease: the [FamilyLabel] of its family, by which the
	// fence in the API server finds all that speak of one type.
	LabelFamily = "shardctl.dev/family"

	KindMember = "member"
	KindShard  = "shard"
	KindLayout = "layout"

	AnnotationAttempt  = "shardctl.dev/attempt"  // member, and shard in lease mode: number of the renewal attempt (R9)
	AnnotationEnded    = "shardctl.dev/ended"    // member: identity whose session is over (R1)
	AnnotationRevision = "shardctl.dev/revision" // member: orders versions of the program
	AnnotationReady    = "shardctl.dev/ready"    // member: "true" once it can do the work
	AnnotationLeaving  = "shardctl.dev/leaving"  // member: "true" while it hands everything over
	AnnotationServes   = "shardctl.dev/serves"   // member: names of the shards it can hold
	AnnotationLoad     = "shardctl.dev/load"     // member: JSON, shard -> load in thousandths; shard: its last holder's, a number
	AnnotationProblems = "shardctl.dev/problems" // member: JSON, shard or family -> what fails there; see ProblemOfReplica
	AnnotationMode     = "shardctl.dev/mode"     // member: "lease" if it renews its shards one by one
	AnnotationCordoned = "shardctl.dev/cordoned" // member, by an operator: "true" to make it hold nothing
	AnnotationReplicas = "shardctl.dev/replicas" // member: how many replicas there are to be, as it was told
	AnnotationBuckets  = "shardctl.dev/buckets"  // member: JSON, family -> how it is configured to be divided
	AnnotationFence    = "shardctl.dev/fence"    // member: digest of the admission policies that its configuration calls for
	AnnotationDeclines = "shardctl.dev/declines" // member: JSON, family -> the cause for which it takes no shard of that now

	AnnotationSession    = "shardctl.dev/session"          // shard: equals spec.holderIdentity in session mode (R14)
	AnnotationClaimed    = "shardctl.dev/claimed"          // shard: UID of the Lease when it was last claimed: a copy has another (R6b)
	AnnotationDuration   = "shardctl.dev/session-duration" // shard: the session's LeaseDuration, a Go duration
	AnnotationPreferred  = "shardctl.dev/preferred"        // shard: identity that a shard without a holder was given back for
	AnnotationResource   = "shardctl.dev/resource"         // shard: resource type, as resource.group
	AnnotationPinned     = "shardctl.dev/pinned"           // shard, by an operator: the Pod that should hold it
	AnnotationSealed     = "shardctl.dev/sealed"           // shard: generation of the layout that has done with it
	AnnotationGeneration = "shardctl.dev/generation"       // shard: that of the layout by which it was last claimed
	AnnotationClosed     = "shardctl.dev/closed"           // shard: identity of a session that is over, whose writes are not let in any more
	AnnotationComing     = "shardctl.dev/coming"           // shard: generation of the layout it was made for while an earlier one was in use, until it is claimed
	AnnotationPartition  = "shardctl.dev/partition"        // shard: what its bucket is a range of
	AnnotationKind       = "shardctl.dev/object-kind"      // shard: kind of the objects that it is about
	AnnotationScope      = "shardctl.dev/object-scope"     // shard: ScopeNamespaced or ScopeCluster: where those are
	AnnotationLeft       = "shardctl.dev/left"             // shard: when its last holder ended all work, in RFC 3339
	AnnotationCarried    = "shardctl.dev/carried"          // shard: JSON, resource -> newest resourceVersion the last holder wrote
	AnnotationLedger     = "shardctl.dev/ledger"           // shard: what the work keeps on record from one holder to the next
	AnnotationLedgerAsOf = "shardctl.dev/ledger-as-of"     // shard: resourceVersion at which the Lease before this one said so, until this one is claimed

	AnnotationLayout = "shardctl.dev/layout" // layout: JSON of the layout record
)

// ProblemOfReplica is in the place of a shard where what fails is the replica itself.
const ProblemOfReplica = "-"

// Values of [AnnotationScope].
const (
	ScopeNamespaced = "Namespaced"
	ScopeCluster    = "Cluster"
)

// foreignDuration stands in spec.leaseDurationSeconds of a shard Lease in
// session mode: an elector that knows the standard rules alone must never
// think it expired. 34 years, far from overflowing anyone's arithmetic. An elector
// that goes by its own configuration instead of the record, as client-go's did
// before 0.27, is not kept off by it.
const foreignDuration = 1 << 30

// releasedDuration stands there once a shard was given back (R14).
const releasedDuration = 1

// maxAnnotation bounds what is decoded from one annotation. The API server
// allows 256 KiB for all; nothing of ours comes near this.
const maxAnnotation = 64 << 10

// FamilyLabel is the family's name as the value of a label: a long one is cut, and
// tells by a hash what was cut off.
func FamilyLabel(family string) string {
	const longest = validation.LabelValueMaxLength - 17
	if len(family) <= validation.LabelValueMaxLength {
		return family
	}
	h := fnv.New64a()
	h.Write([]byte(family))
	return strings.TrimRight(family[:longest], ".-") + "-" + fmt.Sprintf("%016x", h.Sum64())
}

// ShardLeaseName is the name of the Lease of a shard.
func ShardLeaseName(group, shard string) string { return group + "." + shard }

// MemberLeaseName is the name of the member Lease of a replica.
func MemberLeaseName(group string, r Replica) string {
	return group + ".member-" + string(r.uid()) + "." + r.Container
}

// LayoutLeaseName is the name of the Lease with the layout record. Whoever
// installs a group may create it, labelled and otherwise empty, to say that
// the group is new: its first start then needs no wait.
func LayoutLeaseName(group string) string { return group + ".layout.shardctl.dev" }

// Member is what a member Lease says. Nothing in it is trusted for exclusion
// but the pair of Holder and Attempt, and Ended.
type Member struct {
	Name     string // of the Lease
	Holder   string // identity of the session
	Attempt  string
	Ended    string // identity, or empty
	Duration time.Duration
	Revision int64
	Ready    bool
	Leaving  bool
	Mode     Mode
	Serves   []string
	// Cordoned: an operator wants it to hold nothing.
	Cordoned bool
	// Replicas is how many there are to be, as it was told; 0 if it was not.
	Replicas int
	// Buckets says of each family that the member serves how it is configured to
	// be divided; nil if the member does not say.
	Buckets  map[string]Partitioning
	Load     map[string]int64
	Problems map[string]string
	// Fence is the digest of the admission policies that its configuration calls
	// for; empty if it does not say.
	Fence string
	// Declines are families of which it takes no shard now, and why.
	Declines map[string]Cause
	Renewed  time.Time // by that replica's wall clock; for people only
}

// Shard is what a shard Lease says.
type Shard struct {
	Name    string // of the Lease
	UID     types.UID
	Created int64 // seconds since 1970, by the API server
	Holder  string
	Session bool // renewed by the holder's session (R14), else by itself
	// Claimed says that the group has claimed this very Lease before. What
	// a Lease made from a backup or a copy says of a session is void: it is
	// unowned.
	Claimed  bool
	Duration time.Duration
	Epoch    int32
	Resource string
	Carried  map[string]string
	// Preferred is who should take a shard that nobody holds.
	Preferred string
	// Pinned is the Pod that an operator wants to hold it; empty for whichever.
	Pinned string
	// Closed is the session whose writes the fence in the API server refuses,
	// though the Lease still names it: the shard is about to be taken from it.
	Closed string
	// Sealed is the generation of the layout that is done with this Lease: nobody
	// claims it by an earlier one. 0 if it was never sealed.
	Sealed int64
	// Generation is that of the layout by which it was last claimed; 0 if its family
	// was never divided.
	Generation int64
	// Partition is what the bucket is a range of, as of its last claim.
	Partition Partition
	// Load is that of the last holder when it gave the shard away, in thousandths
	// of a worker.
	Load int64
	// Left is when the last holder had ended all work, by its wall clock; zero if
	// it gave nothing away in order.
	Left time.Time
	// Ledger is what the work has on record: text that its holders write.
	Ledger string
	// ledgerAsOf is as of when, if it comes from an earlier Lease of that name, and this
	// one was never claimed; else 0.
	ledgerAsOf uint64
	// Attempt is the number of the renewal in lease mode.
	Attempt string
	// stamp changes with every renewal of a Lease that is not in session mode.
	stamp    string
	Acquired time.Time // by its holder's wall clock; for people only
	Renewed  time.Time // the same
}

// Layout is the layout record: how families are divided, and which shards were
// ever created.
type Layout struct {
	// Settled says that every term which an earlier layout record could have
	// allowed has run out.
	Settled bool                   `json:"settled"`
	Shards  map[string]LayoutShard `json:"shards"`
	// Families are those that are, or were, divided into buckets. Any other is in
	// one piece.
	Families map[string]LayoutFamily `json:"families,omitempty"`
}

// LayoutFamily says how a family is divided.
type LayoutFamily struct {
	Partitioning
	// Generation rises with every change.
	Generation int64 `json:"generation"`
	// From is how it was divided before; empty once all Leases of that are sealed.
	From []Partitioning `json:"from,omitempty"`
	// Sealing says that these are to be sealed now, and the new ones claimed.
	Sealing bool `json:"sealing,omitempty"`
}

// before tells whether other is a later state.
func (l LayoutFamily) before(other LayoutFamily) bool {
	return cmp.Or(cmp.Compare(l.Generation, other.Generation), cmp.Compare(l.stage(), other.stage())) < 0
}

// stage counts the states of one generation.
func (l LayoutFamily) stage() int {
	switch {
	case len(l.From) == 0:
		return 2
	case l.Sealing:
		return 1
	}
	return 0
}

// LayoutShard says of a shard that it has been created.
type LayoutShard struct {
	// FirstUID is the UID of the very first Lease, which may be claimed
	// without a wait; empty if that is not known to be the first (R6b).
	FirstUID types.UID `json:"firstUID,omitempty"`
}

// DecodeMember reads a member Lease. It never fails: what cannot be read is
// left at its zero value, which grants nothing.
func DecodeMember(l *coordinationv1.Lease) Member {
	m := Member{
		Name:     l.Name,
		Holder:   ptr.Deref(l.Spec.HolderIdentity, ""),
		Attempt:  l.Annotations[AnnotationAttempt],
		Ended:    l.Annotations[AnnotationEnded],
		Duration: seconds(l.Spec.LeaseDurationSeconds),
		Ready:    l.Annotations[AnnotationReady] == "true",
		Leaving:  l.Annotations[AnnotationLeaving] == "true",
		Load:     decodeMap[int64](l.Annotations[AnnotationLoad]),
		Problems: decodeMap[string](l.Annotations[AnnotationProblems]),
		Fence:    decodeText(l.Annotations[AnnotationFence]),
		Declines: decodeMap[Cause](l.Annotations[AnnotationDeclines]),
		Cordoned: l.Annotations[AnnotationCordoned] == "true",
		Buckets:  decodeMap[Partitioning](l.Annotations[AnnotationBuckets]),
	}
	if n, err := strconv.ParseUint(l.Annotations[AnnotationReplicas], 10, 31); err == nil {
		m.Replicas = int(n)
	}
	m.Mode = SessionMode
	if l.Annotations[AnnotationMode] == string(LeaseMode) {
		m.Mode = LeaseMode
	}
	m.Revision, _ = strconv.ParseInt(l.Annotations[AnnotationRevision], 10, 64)
	if s := l.Annotations[AnnotationServes]; s != "" && len(s) <= maxAnnotation {
		m.Serves = strings.Split(s, ",")
		slices.Sort(m.Serves)
	}
	if l.Spec.RenewTime != nil {
		m.Renewed = l.Spec.RenewTime.Time
	}
	return m
}

// DecodeShard reads a shard Lease; like [DecodeMember] it never fails.
func DecodeShard(l *coordinationv1.Lease) Shard {
	s := Shard{
		Name:     l.Name,
		UID:      l.UID,
		Created:  l.CreationTimestamp.Unix(),
		Holder:   ptr.Deref(l.Spec.HolderIdentity, ""),
		Duration: seconds(l.Spec.LeaseDurationSeconds),
		Epoch:    max(0, ptr.Deref(l.Spec.LeaseTransitions, 0)),
		Resource: l.Annotations[AnnotationResource],
		Carried:  decodeMap[string](l.Annotations[AnnotationCarried]),
		Attempt:  l.Annotations[AnnotationAttempt],
		Pinned:   l.Annotations[AnnotationPinned],
		Closed:   l.Annotations[AnnotationClosed],
		Ledger:   decodeLedger(l.Annotations[AnnotationLedger]),
	}
	s.Partition = Partition(l.Annotations[AnnotationPartition])
	s.Sealed = decodeCount(l.Annotations[AnnotationSealed])
	s.Generation = decodeCount(l.Annotations[AnnotationGeneration])
	s.Load = decodeCount(l.Annotations[AnnotationLoad])
	s.Left, _ = time.Parse(time.RFC3339Nano, l.Annotations[AnnotationLeft])
	if s.Holder == "" {
		s.Preferred = l.Annotations[AnnotationPreferred]
	}
	s.Claimed = l.UID != "" && l.Annotations[AnnotationClaimed] == string(l.UID)
	if !s.Claimed {
		s.ledgerAsOf = parseRV(l.Annotations[AnnotationLedgerAsOf])
	}
	s.Session = s.Holder != "" && l.Annotations[AnnotationSession] == s.Holder
	switch {
	case s.Session && s.Claimed:
		s.Duration, _ = time.ParseDuration(l.Annotations[AnnotationDuration])
	case s.Session:
		s.Holder, s.Session, s.Duration = "", false, 0
	}
	if l.Spec.RenewTime != nil {
		s.Renewed = l.Spec.RenewTime.Time
		s.stamp = s.Renewed.UTC().Format(time.RFC3339Nano)
	}
	if l.Spec.AcquireTime != nil {
		s.Acquired = l.Spec.AcquireTime.Time
	}
	return s
}

// mode says what renews the shard.
func (s Shard) mode() Mode {
	if s.Session {
		return SessionMode
	}
	return LeaseMode
}

// heartbeat is what changes with every renewal of a Lease that is not in session
// mode. Ours carry a number as well, for a wall clock may step back to what it
// has shown before.
func (s Shard) heartbeat() [3]string {
	return [3]string{s.stamp, s.Attempt, strconv.Itoa(int(s.Epoch))}
}

// Token is the fencing token of R7: it rises with every term, also when the
// Lease was deleted and made again, as long as the API servers' clocks do not
// step back and etcd is not restored. Creation second in the upper 32 bits,
// epoch in the lower 31.
func (s Shard) Token() int64 {
	return min(max(s.Created, 0), math.MaxUint32)<<31 | int64(s.Epoch)
}

// DecodeLayout reads the layout record. A record that cannot be read counts as
// unsettled and empty: it allows no short cut.
func DecodeLayout(l *coordinationv1.Lease) Layout {
	raw, written := l.Annotations[AnnotationLayout]
	if !written {
		return Layout{Settled: true, Shards: map[string]LayoutShard{}}
	}
	var layout Layout
	if len(raw) > maxLayout || json.Unmarshal([]byte(raw), &layout) != nil {
		layout = Layout{}
	}
	if layout.Shards == nil {
		layout.Shards = map[string]LayoutShard{}
	}
	maps.DeleteFunc(layout.Families, func(_ string, f LayoutFamily) bool {
		return !f.valid() || f.Generation < 1 || f.Generation > 2*maxCount || len(f.From) > maxFrom ||
			slices.ContainsFunc(f.From, func(p Partitioning) bool { return !p.valid() })
	})
	return layout
}

// maxLayout bounds the layout record, some 2,500 shards. It has the Lease to
// itself, so it may be larger than other annotations.
const maxLayout = 240 << 10

func (l Layout) encode() string {
	raw, err := json.Marshal(l)
	if err != nil {
		panic(fmt.Sprintf("layout record: %v", err)) // strings and a bool always marshal
	}
	return string(raw)
}

// decodeCount reads a number that is never negative; what is none is 0.
func decodeCount(s string) int64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return int64(min(n, maxCount)) //nolint:gosec // bounded
}

const (
	// maxCount bounds what is counted: a seal by a number that nobody could have
	// written stays a seal, and there is room for a generation above it.
	maxCount = 1 << 61
	// maxFrom bounds the layouts that one can come from. More than two are there
	// only after the record was lost several times.
	maxFrom = 16
)

// decodeText reads what is shown to people or compared as a whole.
func decodeText(s string) string { return s[:min(len(s), maxText)] }

// maxText bounds it.
const maxText = 1 << 10

func seconds(s *int32) time.Duration {
	return time.Duration(max(0, ptr.Deref(s, 0))) * time.Second
}

func decodeMap[V any](raw string) map[string]V {
	var m map[string]V
	if raw == "" || len(raw) > maxAnnotation || json.Unmarshal([]byte(raw), &m) != nil {
		return nil
	}
	return m
}

func encodeMap[V any](m map[string]V) string {
	if len(m) == 0 {
		return ""
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("annotation: %v", err)) // strings and integers always marshal
	}
	return string(raw)
}

// annotate returns a copy of have with set applied; an empty value removes.
func annotate(have, set map[string]string) map[string]string {
	merged := make(map[string]string, len(have)+len(set))
	maps.Copy(merged, have)
	for k, v := range set {
		if v == "" {
			delete(merged, k)
		} else {
			merged[k] = v
		}
	}
	return merged
}
