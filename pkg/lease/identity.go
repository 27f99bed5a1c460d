// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Replica names one run of one process of the group, before any session.
type Replica struct {
	// Pod is the name of the Pod, or of the host where there is no Pod.
	Pod string
	// UID is the Pod's UID. Where there is no Pod, leave it empty: Boot takes
	// its place, so that nothing is ever shared with a namesake.
	UID types.UID
	// Container is the container's name; a Pod may run several replicas.
	Container string
	// Boot is a random DNS label, fresh at every start of the process.
	Boot string
}

// Identity names one session of a replica: what stands in spec.holderIdentity.
// It is written <pod>_<pod UID>_<container>.<boot>.<incarnation>; the last
// three together are the nonce. An identity whose session is over is never
// used again (rule R4): the replica goes on as the next incarnation.
type Identity struct {
	Replica
	Incarnation uint32
}

func (r Replica) uid() types.UID {
	if r.UID == "" {
		return types.UID(r.Boot)
	}
	return r.UID
}

// validate refuses what would make an identity ambiguous.
func (r Replica) validate() error {
	for _, label := range []struct{ what, value string }{{"container", r.Container}, {"boot nonce", r.Boot}, {"pod UID", string(r.uid())}} {
		if problems := validation.IsDNS1123Label(label.value); len(problems) > 0 {
			return fmt.Errorf("replica: %s %q: %s", label.what, label.value, strings.Join(problems, ", "))
		}
	}
	if problems := validation.IsDNS1123Subdomain(r.Pod); len(problems) > 0 {
		return fmt.Errorf("replica: pod name %q: %s", r.Pod, strings.Join(problems, ", "))
	}
	return nil
}

func (i Identity) String() string {
	return i.Pod + "_" + string(i.uid()) + "_" + i.Container + "." + i.Boot + "." + strconv.FormatUint(uint64(i.Incarnation), 10)
}

// ParseIdentity reads what [Identity.String] wrote. Anything else, such as the
// identity of a foreign elector, is an error. It is called for every Lease at
// every step of the machine, so it uses no regular expressions.
func ParseIdentity(s string) (Identity, error) {
	pod, rest, _ := strings.Cut(s, "_")
	uid, nonce, _ := strings.Cut(rest, "_")
	container, nonce, _ := strings.Cut(nonce, ".")
	boot, incarnation, _ := strings.Cut(nonce, ".")
	n, err := strconv.ParseUint(incarnation, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != incarnation ||
		!isSubdomain(pod) || !isLabel(uid) || !isLabel(container) || !isLabel(boot) {
		return Identity{}, fmt.Errorf("identity %q: want <pod>_<pod UID>_<container>.<boot>.<incarnation>", s)
	}
	return Identity{
		Replica:     Replica{Pod: pod, UID: types.UID(uid), Container: container, Boot: boot},
		Incarnation: uint32(n),
	}, nil
}

// isLabel tells what [validation.IsDNS1123Label] does.
func isLabel(s string) bool {
	return len(s) <= validation.DNS1123LabelMaxLength && isSubdomain(s) && !strings.Contains(s, ".")
}

// isSubdomain tells what [validation.IsDNS1123Subdomain] does: letters, digits
// and hyphens, in parts that neither begin nor end with a hyphen.
func isSubdomain(s string) bool {
	if len(s) > validation.DNS1123SubdomainMaxLength {
		return false
	}
	inner := false // the last byte was a letter or a digit: a part may end here
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			inner = true
		case c == '-' && i > 0 && s[i-1] != '.':
			inner = false
		case c == '.' && inner:
			inner = false
		default:
			return false
		}
	}
	return inner
}

// SameReplica tells whether two identities are sessions of one container: they
// share a member Lease.
func (i Identity) SameReplica(j Identity) bool {
	return i.uid() == j.uid() && i.Container == j.Container
}
