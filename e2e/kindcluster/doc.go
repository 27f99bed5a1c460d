// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kindcluster makes a Kubernetes cluster of kind for package deployed: one control plane and three workers, each a container
// of docker, with shardctl's image on all of them.
//
// What is not as kind makes it by default:
//
//   - The API server writes an audit log, and etcd's port is open to this machine and its history is kept: the oracle reads both.
//   - Nothing of the user's is touched: the kubeconfig is a file of its own, the cluster's name is new. Only what was created here is
//     ever deleted: the cluster, and the second name of the image.
//
// Where kind's public node image cannot be pulled, KIND_NODE_IMAGE names another; see the Makefile's target e2e-kind.
//
// Its test is the suite itself, in package kindtest.
package kindcluster
