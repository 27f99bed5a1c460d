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
	for what, label := range map[string]string{"container": r.Container, "boot nonce": r.Boot, "pod UID": string(r.uid())} {
		if problems := validation.IsDNS1123Label(label); len(problems) > 0 {
			return fmt.Errorf("replica: %s %q: %s", what, label, strings.Join(problems, ", "))
		}
	}
	if problems := validation.IsDNS1123Subdomain(r.Pod); len(problems) > 0 {
		return fmt.Errorf("replica: pod name %q: %s", r.Pod, strings.Join(problems, ", "))
	}
	return nil
}

func (i Identity) String() string {
	return fmt.Sprintf("%s_%s_%s.%s.%d", i.Pod, i.uid(), i.Container, i.Boot, i.Incarnation)
}

// ParseIdentity reads what [Identity.String] wrote. Anything else, such as the
// identity of a foreign elector, is an error.
func ParseIdentity(s string) (Identity, error) {
	fail := func() (Identity, error) {
		return Identity{}, fmt.Errorf("identity %q: want <pod>_<pod UID>_<container>.<boot>.<incarnation>", s)
	}
	parts := strings.Split(s, "_")
	if len(parts) != 3 {
		return fail()
	}
	nonce := strings.Split(parts[2], ".")
	if len(nonce) != 3 {
		return fail()
	}
	n, err := strconv.ParseUint(nonce[2], 10, 32)
	if err != nil {
		return fail()
	}
	id := Identity{
		Replica:     Replica{Pod: parts[0], UID: types.UID(parts[1]), Container: nonce[0], Boot: nonce[1]},
		Incarnation: uint32(n),
	}
	if id.validate() != nil || id.String() != s {
		return fail()
	}
	return id, nil
}

// sameReplica tells whether two identities are sessions of one container: they
// share a member Lease.
func (i Identity) sameReplica(j Identity) bool {
	return i.uid() == j.uid() && i.Container == j.Container
}
