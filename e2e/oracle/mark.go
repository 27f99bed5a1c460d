// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import "k8s.io/apimachinery/pkg/types"

// By these annotations an object says itself who wrote it, for writes of which no audit log tells.
const (
	AnnotationWriter = "oracle.shardctl.dev/writer" // the UID of the Pod, or NoReplica
	AnnotationTerm   = "oracle.shardctl.dev/term"   // anything that tells one writing from another, such as shard and epoch
)

// NoReplica is the writer that is none of the replicas.
const NoReplica = "no-replica"

// Mark is an object's own word about who wrote it; zero if it has none.
type Mark struct {
	Writer types.UID
	Term   string
}

func markOf(annotations map[string]string) Mark {
	return Mark{Writer: types.UID(annotations[AnnotationWriter]), Term: annotations[AnnotationTerm]}
}

// writer is whom the mark names.
func (m Mark) writer() Writer {
	if m.Writer == NoReplica {
		return Writer{User: NoReplica}
	}
	return Writer{Pod: m.Writer}
}

// markIsNew says whether the object has something to say about this very write: its mark is another than before.
func (e Event) markIsNew() bool {
	return !e.Deleted && e.Object.Mark.Writer != "" && (e.Previous == nil || e.Previous.Mark != e.Object.Mark)
}

// markIsKept says whether the word is a replica's and an old one, and the generation an old one too: what others than replicas
// write, they write into the spec, which would have raised it.
func (e Event) markIsKept() bool {
	if e.Deleted || e.Previous == nil {
		return false
	}
	mark := e.Object.Mark
	return mark.Writer != "" && mark.Writer != NoReplica && e.Previous.Generation == e.Object.Generation
}
