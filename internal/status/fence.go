// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/shardctl/shardctl/pkg/fence"
)

// Fence tells whether the API server itself refuses the writes of members that do
// not hold the shard.
type Fence struct {
	State FenceState `json:"state"`
	// Reason says what is wrong and what to do; empty if the fence matches.
	Reason string `json:"reason"`
}

// FenceState is what the fence in the API server is worth.
type FenceState string

// The states of the fence.
const (
	// FenceMatching: it is installed as the configurations of all live members call
	// for.
	FenceMatching FenceState = "matching"
	// FenceUnneeded: no configuration has a resource type that it could judge, and
	// nothing is installed for the group.
	FenceUnneeded FenceState = "unneeded"
	// FenceMissing: nothing of it is installed for the group.
	FenceMissing FenceState = "missing"
	// FenceIncomplete: a policy or a binding is missing, of the group's or of those
	// that all groups share.
	FenceIncomplete FenceState = "incomplete"
	// FenceDiffers: something else is installed than is called for.
	FenceDiffers FenceState = "differs"
	// FenceUnknown: what is installed could not be found out, or members do not say
	// what their configurations call for.
	FenceUnknown FenceState = "unknown"
)

// String is the state, and the reason if there is one.
func (f Fence) String() string {
	if f.Reason == "" {
		return string(f.State)
	}
	return string(f.State) + ": " + f.Reason
}

// Installed is what there is of the fence in the API server.
type Installed struct {
	// found is what there is to say of it whatever the members call for; without a
	// state if it can match.
	found Fence
	// digest of the group's part, for them to compare.
	digest string
}

// What to do about a fence.
const (
	applyGroup   = "apply what `shardctl fence FILE` prints for it"
	applyGeneral = "apply manifests/components/fence"
	afterwards   = ", with the --service-account that the replicas run as, and delete the policies of types that it has no more"
)

// Inspect takes in the policies and bindings of a group, and those that all groups of
// the cluster share.
func Inspect(group, general *fence.Fence) Installed {
	if len(group.Policies)+len(group.Bindings) == 0 {
		return Installed{found: Fence{FenceMissing, "nothing is installed for this group: " + applyGroup}}
	}
	wanted := fence.General()
	if gaps := gaps(general, wanted); len(gaps) > 0 {
		return Installed{found: Fence{FenceIncomplete, "there is " + some(gaps) + ", which all groups need: " + applyGeneral}}
	}
	if gaps := gaps(group, &fence.Fence{}); len(gaps) > 0 {
		return Installed{found: Fence{FenceIncomplete, "there is " + some(gaps) + ": " + applyGroup}}
	}
	if general.Digest() != wanted.Digest() {
		return Installed{found: Fence{FenceDiffers, "what all groups share is not as this version of shardctl calls for: " + applyGeneral}}
	}
	return Installed{digest: group.Digest()}
}

// Uninspected stands for a fence that could not be read; the reason says why, and what
// to do.
func Uninspected(reason string) Installed {
	return Installed{found: Fence{FenceUnknown, reason}}
}

// Judge says what the installed fence is worth to a group. The members alone know its
// configuration.
func (i Installed) Judge(s Status) Fence {
	switch {
	case i.found.State == FenceMissing && s.writesNothing():
		return Fence{FenceUnneeded, "no role in the members' configurations has a resource type"}
	case i.found.State != "":
		return i.found
	}
	var agree int
	var differ, silent []string
	names := memberNames(s)
	for _, m := range s.Members {
		switch {
		case !m.Current():
		case m.Fence == i.digest:
			agree++
		case m.Fence != "":
			differ = append(differ, names[m.Lease])
		case m.Ready: // before that it may have had no time yet to say it
			silent = append(silent, names[m.Lease])
		}
	}
	switch {
	case len(differ) > 0 && agree > 0:
		return Fence{FenceDiffers, "the members do not agree: what is installed is not what the configuration of " + some(differ) +
			" calls for. In a rolling update this passes: apply what `shardctl fence FILE` prints for the new configuration"}
	case len(differ) > 0:
		return Fence{FenceDiffers, "what is installed for this group is not what the configuration of " + some(differ) + " calls for: " + applyGroup + afterwards}
	case len(silent) > 0:
		return Fence{FenceUnknown, "what is called for is not said by " + some(silent) + ": see the log there"}
	case agree == 0:
		return Fence{FenceUnknown, "there is no live member to say what its configuration calls for"}
	}
	return Fence{State: FenceMatching}
}

// writesNothing tells whether all live members say that they call for no fence.
func (s Status) writesNothing() bool {
	said := false
	for _, m := range s.Members {
		if m.Current() && m.Fence != fence.None && (m.Fence != "" || m.Ready) {
			return false
		}
		said = said || m.Current() && m.Fence == fence.None
	}
	return said
}

// gaps tells of each policy and binding that is missing: those that what is installed
// belongs to, and those of another fence.
func gaps(installed, wanted *fence.Fence) []string {
	policies, bound := sets.New[string](), sets.New[string]()
	for _, p := range installed.Policies {
		policies.Insert(p.Name)
	}
	for _, b := range installed.Bindings {
		bound.Insert(b.Spec.PolicyName)
	}
	all := policies.Union(bound)
	for _, p := range wanted.Policies {
		all.Insert(p.Name)
	}
	var missing []string
	for _, name := range sets.List(all) {
		if !policies.Has(name) {
			missing = append(missing, "no policy "+name)
		}
		if !bound.Has(name) {
			missing = append(missing, "no binding of policy "+name)
		}
	}
	return missing
}

// maxNamed bounds a line for people.
const maxNamed = 5

// some lists names, but for those that are too many.
func some(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}
