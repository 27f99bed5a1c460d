// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet runs replicas of `shardctl run` as real processes, each as a Pod of its own would: with a Pod object, a
// token bound to it, and no more permissions than its configuration needs.
//
//	cp := controlplane.Start(t, controlplane.Options{})
//	f := fleet.Start(t, fleet.Options{Cluster: cp, Config: configuration, CRDs: crds})
//	a, err := f.Launch(ctx, "a")                                       // a process, and its Pod
//	_, err = f.WaitFor(ctx, 20*time.Second, "an even spread", fleet.Spread(4, 1))
//	err = a.Kill()                                                     // or Terminate, Pause, Resume, Restart
//
// The cluster is a control plane of e2e/controlplane, with a network for each replica if that is to be disturbed ([Networks]), or
// any other by its kubeconfig file ([Foreign]). Everything that a fleet
// creates there is labelled, and [Fleet.Uninstall] removes it.
//
// # Nothing is left behind
//
// A replica's process lives until it is ended or until [Fleet.Close], which kills what is still running. On Linux the kernel
// kills it too when this process dies, however that happens. Only processes that this package has started are ever signalled.
//
// # What is waited for, and how
//
// There are no sleeps: WaitFor looks at the group's Leases, as `shardctl status` does, until a condition holds. Its error says
// what was waited for, what was missing, what the status was and where the logs are. A replica that ends without having been
// told to ends every wait at once.
//
// The tests of this package run shell scripts as replicas; the e2e suite and the demo run the real ones.
package fleet
