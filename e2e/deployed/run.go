// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/e2e/oracle"
)

// What manifests/base calls things.
const (
	name      = "shardctl" // of the Deployment, the service account, the container and the group
	namespace = "shardctl-system"
	replicas  = 3
)

// suite is an installation and those who watch it.
type suite struct {
	Cluster
	kube     kubernetes.Interface
	dynamic  dynamic.Interface
	recorder *oracle.Recorder
	load     *load

	// Of the manifests:
	manifests manifests
	types     []objectType
	shards    int
}

// Run runs all tests on one installation, in an order that leads from an empty cluster to one in which everything has happened.
// After one that fails only the history is judged: the installation is not what the next one starts from.
func Run(t *testing.T, c Cluster) {
	s := newSuite(t, c)
	for _, test := range []struct {
		name string
		run  func(*suite, *testing.T)
	}{
		{"Install", (*suite).testInstall},
		{"Spread", (*suite).testSpread},
		{"ServerFence", (*suite).testServerFence},
		{"PodDeleted", (*suite).testPodDeleted},
		{"ProcessKilled", (*suite).testProcessKilled},
		{"NodeDrained", (*suite).testNodeDrained},
		{"RollingUpdate", (*suite).testRollingUpdate},
		{"Scaled", (*suite).testScaled},
		{"NodeCutOff", (*suite).testNodeCutOff},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(s, t) }) {
			break
		}
	}
	t.Run("History", s.testHistory)
}

func newSuite(t *testing.T, c Cluster) *suite {
	t.Helper()
	s := &suite{Cluster: c}
	var err error
	if s.kube, err = kubernetes.NewForConfig(c.Config()); err != nil {
		t.Fatal(err)
	}
	if s.dynamic, err = dynamic.NewForConfig(c.Config()); err != nil {
		t.Fatal(err)
	}
	if s.manifests, err = readManifests(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if s.types, s.shards, err = s.manifests.types(); err != nil {
		t.Fatal(err)
	}
	options, err := c.Etcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	options.Keep, options.Settled = isOfInterest, isSettled
	if s.recorder, err = oracle.Start(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	s.load = newLoad(s.dynamic, s.types)
	t.Cleanup(func() {
		s.load.stop()
		if err := s.recorder.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			s.saveEvidence(t)
		}
	})
	return s
}

// isOfInterest tells what the history is about.
func isOfInterest(k oracle.Key) bool {
	return k.Namespace == namespace && k.Resource.Resource == "leases" || k.Namespace == objectsNamespace
}
