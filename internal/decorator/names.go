// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

// The marks that metacontroller leaves on objects. They are its own, so that a decorator can move from
// metacontroller to shardctl and back without touching an object.
const (
	// ownerAnnotation on an attachment names the decorator that created it.
	ownerAnnotation = "metacontroller.k8s.io/decorator-controller"

	// lastAppliedAnnotation on an attachment is what its hook asked for last, as JSON.
	lastAppliedAnnotation = "metacontroller.k8s.io/last-applied-configuration"

	finalizerPrefix = "metacontroller.io/decoratorcontroller-"
)

// finalizerOf is the finalizer that parents carry while the decorator has a finalize hook.
func finalizerOf(name string) string { return finalizerPrefix + name }
