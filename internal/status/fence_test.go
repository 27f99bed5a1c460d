// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

func groupFence(t *testing.T) *fence.Fence {
	t.Helper()
	f, err := fence.New(fence.Options{
		Group: "g", Namespace: "ns", ServiceAccount: "g",
		Types: []fence.Type{{Resource: schema.GroupResource{Group: "example.com", Resource: "widgets"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFenceStates(t *testing.T) {
	digest := groupFence(t).Digest()
	says := func(identity, digest string) coordinationv1.Lease {
		return ready(identity, "a", lease.AnnotationFence, digest)
	}
	both := []coordinationv1.Lease{says(ann, digest), says(bob, digest)}
	nothing := []coordinationv1.Lease{says(ann, fence.None), says(bob, fence.None)}
	var many []coordinationv1.Lease
	for i := range 8 {
		one := says(fmt.Sprintf("pod-%d_%d_main.abc.1", i, i), "another")
		one.Name = fmt.Sprintf("g.member-%d", i)
		many = append(many, one)
	}
	policy := groupFence(t).Policies[0].Name
	for _, tc := range []struct {
		name    string
		members []coordinationv1.Lease
		change  func(group, general *fence.Fence)
		want    string
	}{
		{"as all call for", both, nil, "matching"},
		{
			"nothing of the group", both, func(group, _ *fence.Fence) { *group = fence.Fence{} },
			"missing: nothing is installed for this group: apply what `shardctl fence FILE` prints for it",
		},
		{
			"nothing at all", nil, func(group, general *fence.Fence) { *group, *general = fence.Fence{}, fence.Fence{} },
			"missing: nothing is installed for this group: apply what `shardctl fence FILE` prints for it",
		},
		{
			"no binding", both, func(group, _ *fence.Fence) { group.Bindings = group.Bindings[1:] },
			"incomplete: there is no binding of policy " + policy + ": apply what `shardctl fence FILE` prints for it",
		},
		{
			"no policy", both, func(group, _ *fence.Fence) { group.Policies = group.Policies[1:] },
			"incomplete: there is no policy " + policy + ": apply what `shardctl fence FILE` prints for it",
		},
		{
			"no guard", both, func(_, general *fence.Fence) {
				general.Policies, general.Bindings = general.Policies[:1], general.Bindings[:1]
			},
			"incomplete: there is no policy guard.fence.shardctl.dev, no binding of policy guard.fence.shardctl.dev, which all groups need: apply manifests/components/fence",
		},
		{
			"an edited sentinel", both, func(_, general *fence.Fence) { general.Policies[0].Spec.Validations = nil },
			"differs: what all groups share is not as this version of shardctl calls for: apply manifests/components/fence",
		},
		{
			"a binding that only warns", both, func(group, _ *fence.Fence) {
				group.Bindings[0].Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn}
			},
			"differs: what is installed for this group is not what the configuration of ann-1, bob-2 calls for: apply what `shardctl fence FILE` prints for it" + afterwards,
		},
		{
			"a type less", both, func(group, _ *fence.Fence) { group.Policies, group.Bindings = group.Policies[1:], group.Bindings[1:] },
			"differs: what is installed for this group is not what the configuration of ann-1, bob-2 calls for: apply what `shardctl fence FILE` prints for it" + afterwards,
		},
		{
			"another configuration",
			[]coordinationv1.Lease{both[0], says(bob, "another")},
			nil,
			"differs: the members do not agree: what is installed is not what the configuration of bob-2 calls for. " +
				"In a rolling update this passes: apply what `shardctl fence FILE` prints for the new configuration",
		},
		{
			"another configuration of many", many, nil,
			"differs: what is installed for this group is not what the configuration of pod-0, pod-1, pod-2, pod-3, pod-4 and 3 more calls for: " +
				"apply what `shardctl fence FILE` prints for it" + afterwards,
		},
		{
			"a member that does not say",
			[]coordinationv1.Lease{both[0], ready(bob, "a")},
			nil,
			"unknown: what is called for is not said by bob-2: see the log there",
		},
		{
			"a member that had no time to say it",
			[]coordinationv1.Lease{both[0], ready(bob, "a", lease.AnnotationReady, "")},
			nil,
			"matching",
		},
		{
			"members of another configuration that are over", []coordinationv1.Lease{
				both[0],
				memberLease(bob, time.Minute, map[string]string{lease.AnnotationReady: "true", lease.AnnotationFence: "another"}),
				memberLease(gone, 0, map[string]string{lease.AnnotationEnded: gone, lease.AnnotationFence: "another"}),
			}, nil, "matching",
		},
		{
			"no types", nothing, func(group, _ *fence.Fence) { *group = fence.Fence{} },
			"unneeded: no role in the members' configurations has a resource type",
		},
		{
			"no types, and no time yet to say so",
			[]coordinationv1.Lease{nothing[0], ready(bob, "a", lease.AnnotationReady, "")},
			func(group, _ *fence.Fence) { *group = fence.Fence{} },
			"unneeded: no role in the members' configurations has a resource type",
		},
		{
			"no types here, but there",
			[]coordinationv1.Lease{nothing[0], both[1]},
			func(group, _ *fence.Fence) { *group = fence.Fence{} },
			"missing: nothing is installed for this group: apply what `shardctl fence FILE` prints for it",
		},
		{
			"no types any more", nothing, nil,
			"differs: what is installed for this group is not what the configuration of ann-1, bob-2 calls for: apply what `shardctl fence FILE` prints for it" + afterwards,
		},
		{"no members", nil, nil, "unknown: there is no live member to say what its configuration calls for"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			group, general := groupFence(t), fence.General()
			if tc.change != nil {
				tc.change(group, general)
			}
			if got := Inspect(group, general).Judge(Of("g", "ns", tc.members, now)).String(); got != tc.want {
				t.Errorf("%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestFenceThatCannotBeReadIsUnknown(t *testing.T) {
	got := Uninspected("ask your administrator").Judge(Of("g", "ns", []coordinationv1.Lease{ready(ann, "a", lease.AnnotationFence, "some")}, now))
	if want := (Fence{FenceUnknown, "ask your administrator"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestFenceIsTold(t *testing.T) {
	matching := Fence{State: FenceMatching}
	missing := Fence{FenceMissing, "apply it"}
	for _, tc := range []struct {
		name        string
		before, now Fence
		want        string
	}{
		{"where nobody has looked", Fence{}, Fence{}, ""},
		{"as it was", missing, missing, ""},
		{"installed", missing, matching, "server fence: matching"},
		{"removed", matching, missing, "server fence: missing: apply it"},
		{"for another reason", Fence{FenceMissing, "before"}, missing, "server fence: missing: apply it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := strings.Join(Changes(Status{Fence: tc.before}, Status{Fence: tc.now}), " | "); got != tc.want {
				t.Errorf("as a change %q, want %q", got, tc.want)
			}
		})
	}
	if got, want := strings.Join(Describe(Status{Fence: missing}), " | "), "server fence: missing: apply it"; got != want {
		t.Errorf("as it is %q, want %q", got, want)
	}
}

func TestFenceIsPrinted(t *testing.T) {
	s := example()
	s.Fence = Fence{FenceMissing, "apply it"}
	var out strings.Builder
	if err := s.Print(&out, false, now); err != nil {
		t.Fatal(err)
	}
	if want := "\n\nServer fence: missing: apply it\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("the table does not end with %q:\n%s", want, out.String())
	}
	raw, err := json.Marshal(Status{Fence: Fence{State: FenceMatching}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `"fence":{"state":"matching","reason":""}}`; !strings.HasSuffix(string(raw), want) {
		t.Errorf("the JSON is %s, which does not end with %s", raw, want)
	}
}
