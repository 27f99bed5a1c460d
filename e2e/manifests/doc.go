// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifests has nothing but tests: of what is in the directory manifests of the root module, and of the README's way to
// install it.
//
// Every kustomization is built with the library that kubectl uses, and its objects are shown to a real API server, which
// decodes them strictly, admits them and defaults them. What the manifests say twice, because YAML cannot compute, is compared
// with where it comes from: permissions and fence with what the program prints, the grace period with the time-outs of the
// configuration, probes, ports, paths and flags with each other. One test follows the README with a real kubectl, from an empty
// cluster to objects that are reconciled behind the fence, and back. There are no kubelets: the replicas are processes of this
// machine that act as the Deployment's Pods.
//
// go test ./manifests -run TestPrinted -update, in the module e2e, writes the files anew that the program prints.
package manifests
