// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

// Kind is a kind of fault.
type Kind int

// The kinds of faults.
const (
	RequestLost Kind = iota
	ReplyLost
	RequestHeld
	ReplyHeld
	RequestRepeated
	Repeated
	Refused409
	Refused429
	Refused403
	Failed500
	Failed504
	WatchBroken
	WatchStalled
	StaleList
	Compacted
	CutOneWay
	CutOff
	Outage
	Paused
	PausedInStep
	Crashed
	RestartedInPod
	RestartedElsewhere
	Joined
	ToldToLeave
	RollingUpdate
	DeathReported
	DeathRepeated
	ClocksApart
	MixedModes
	MixedTimings
	LeaseDeleted
	LeaseUnlabelled
	LeaseAnnotated
	LeaseRestored
	ForeignElector
	Reconfigured
	ReadinessChanged
	WorkEndedByItself
	Directed
	Divided
	Redivided
	FamilyDeclined
	FamilyBusy
	KilledAtStep
	WallClockSet
	kinds
)

// names of the kinds, for people.
var names = [kinds]string{
	RequestLost:        "request lost",
	ReplyLost:          "reply lost after the request was carried out",
	RequestHeld:        "request held back",
	ReplyHeld:          "reply held back",
	RequestRepeated:    "request carried out twice, the second answers",
	Repeated:           "reply or event repeated",
	Refused409:         "refused with 409",
	Refused429:         "refused with 429",
	Refused403:         "refused with 403",
	Failed500:          "failed with 500, not carried out",
	Failed504:          "failed with 504, carried out",
	WatchBroken:        "watch broken off",
	WatchStalled:       "watch stalled",
	StaleList:          "stale list",
	Compacted:          "history compacted: 410 on the next watch",
	CutOneWay:          "replica cut off in one direction",
	CutOff:             "replica cut off",
	Outage:             "API server away",
	Paused:             "process paused",
	PausedInStep:       "process paused between two effects",
	Crashed:            "process killed",
	RestartedInPod:     "process restarted in its Pod",
	RestartedElsewhere: "process replaced by one in another Pod",
	Joined:             "replica added",
	ToldToLeave:        "replica told to leave",
	RollingUpdate:      "rolling update",
	DeathReported:      "death reported",
	DeathRepeated:      "death reported again, or long after",
	ClocksApart:        "machine with a clock of another rate",
	MixedModes:         "replica with a mode of its own",
	MixedTimings:       "replica with timings of its own",
	LeaseDeleted:       "Lease deleted",
	LeaseUnlabelled:    "Lease stripped of its labels",
	LeaseAnnotated:     "Lease annotated by hand",
	LeaseRestored:      "Lease restored from a backup",
	ForeignElector:     "foreign elector claims or renews",
	Reconfigured:       "replica configured anew",
	ReadinessChanged:   "readiness changed",
	WorkEndedByItself:  "work ended without being told to",
	Directed:           "directed history",
	Divided:            "family in buckets",
	Redivided:          "family to be divided anew",
	FamilyDeclined:     "family declined",
	FamilyBusy:         "family busy, or not any more",
	KilledAtStep:       "process killed at a step of a schedule",
	WallClockSet:       "wall clock set",
}

func (k Kind) String() string { return names[k] }
