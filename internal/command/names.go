// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shardctl/shardctl/internal/status"
)

// maxListed is how many names a message lists.
const maxListed = 10

// findShard returns the name of the shard that a name, which may be shortened,
// stands for: one that is equal, else the only one that begins with it, else the
// only one that contains it. One of an earlier layout has to be named in full. One
// without a Lease is none to name: the error says why it has none.
func (s snapshot) findShard(asked string) (string, error) {
	if slices.Contains(s.sealed, asked) {
		return asked, nil
	}
	found := firstMatch(s.Shards,
		func(sh status.Shard) bool { return sh.Name == asked },
		func(sh status.Shard) bool { return strings.HasPrefix(sh.Name, asked) },
		func(sh status.Shard) bool { return strings.Contains(sh.Name, asked) },
	)
	if len(found) == 1 && found[0].Lease == "" {
		return "", fmt.Errorf("shard %s has no Lease yet: %s: it gets one, or one for each bucket, once that is solved", found[0].Name, found[0].Problem)
	}
	sh, err := theOnly("shard", asked, withLease(found), withLease(s.Shards), func(sh status.Shard) string { return sh.Name })
	return sh.Name, err
}

// withLease are the shards that can be written to.
func withLease(shards []status.Shard) []status.Shard {
	return slices.DeleteFunc(slices.Clone(shards), func(sh status.Shard) bool { return sh.Lease == "" })
}

// findMember does the same for members, by Pod or identity. A shortened name is
// never that of a member that has ended, and a Pod's name not that of an earlier
// namesake.
func (s snapshot) findMember(asked string) (status.Member, error) {
	current := map[string]bool{} // Pods
	for _, m := range s.Members {
		current[m.Pod] = current[m.Pod] || m.Current()
	}
	var all []status.Member
	for _, m := range s.Members {
		if m.Identity == asked {
			return m, nil
		}
		if m.Current() || !current[m.Pod] {
			all = append(all, m)
		}
	}
	present := slices.DeleteFunc(slices.Clone(all), func(m status.Member) bool { return m.State == status.Ended })
	found := firstMatch(all, func(m status.Member) bool { return m.Pod == asked })
	if found == nil {
		found = firstMatch(present,
			func(m status.Member) bool { return strings.HasPrefix(m.Identity, asked) }, // which begins with the Pod
			func(m status.Member) bool { return strings.Contains(m.Pod, asked) },
		)
	}
	inPod := map[string]int{}
	for _, m := range present {
		inPod[m.Pod]++
	}
	return theOnly("member", asked, found, present, func(m status.Member) string {
		if inPod[m.Pod] > 1 {
			return m.Identity
		}
		return m.Pod
	})
}

// firstMatch returns all for which the first of the conditions holds that does so
// for any.
func firstMatch[T any](all []T, conditions ...func(T) bool) []T {
	for _, is := range conditions {
		if found := slices.DeleteFunc(slices.Clone(all), func(one T) bool { return !is(one) }); len(found) > 0 {
			return found
		}
	}
	return nil
}

// theOnly is what a name stands for, if that is one thing; else the error says
// what it might be.
func theOnly[T any](kind, asked string, found, all []T, name func(T) string) (one T, err error) {
	names := func(of []T) []string {
		list := make([]string, len(of))
		for i := range of {
			list[i] = name(of[i])
		}
		return list
	}
	switch {
	case len(found) == 1 && asked != "":
		return found[0], nil
	case asked != "" && len(found) > 1:
		return one, fmt.Errorf("%s %q is ambiguous: use one of %s", kind, asked, listed(names(found)))
	case len(all) == 0:
		return one, fmt.Errorf("there is no %s %q: the group has no %ss", kind, asked, kind)
	}
	return one, fmt.Errorf("there is no %s %q: use one of %s", kind, asked, listed(names(all)))
}

// listed is a list for people, sorted and cut where it gets long.
func listed(names []string) string {
	names = slices.Sorted(slices.Values(names))
	if more := len(names) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), more)
	}
	return strings.Join(names, ", ")
}
