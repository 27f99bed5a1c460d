// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/shardctl/shardctl/e2e/faults/workload"
	"github.com/shardctl/shardctl/pkg/lease"
)

// The ways to elect.
const (
	byShardctl = "shardctl"
	byClientGo = "client-go"
)

// timings are alike for both ways to elect: the shortest that a machine with little to spare keeps, so that minutes of testing
// hold many terms.
var timings = lease.Timings{LeaseDuration: 2 * time.Second, RenewDeadline: 1200 * time.Millisecond, RenewInterval: 500 * time.Millisecond}

// requestTimeout bounds a write whose answer never comes: longer than any fault lasts.
const requestTimeout = 2 * time.Minute

// replica is what both ways to elect need.
type replica struct {
	group, namespace, pod string
	podUID                types.UID
	elector               string
	config                *rest.Config
	types                 []workload.Type
	registry              *prometheus.Registry
}

// newReplica reads what a fleet gives to a replica, and what is added for this program.
func newReplica(args []string) (*replica, error) {
	r := &replica{
		namespace: os.Getenv("POD_NAMESPACE"), pod: os.Getenv("POD_NAME"), podUID: types.UID(os.Getenv("POD_UID")),
		registry: prometheus.NewRegistry(),
	}
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	_ = flags.String("config", "", "not read")
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	server := flags.String("server", "", "where to reach it instead")
	flags.StringVar(&r.elector, "elector", byShardctl, "how to elect: "+byShardctl+" or "+byClientGo)
	flags.StringVar(&r.group, "group", "", "the name of the group")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if r.group == "" || r.namespace == "" || r.pod == "" || r.podUID == "" {
		return nil, errors.New("--group, POD_NAMESPACE, POD_NAME or POD_UID is missing")
	}
	if r.elector != byShardctl && r.elector != byClientGo {
		return nil, fmt.Errorf("--elector: %q is not known: use %s or %s", r.elector, byShardctl, byClientGo)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return nil, err
	}
	if *server != "" {
		config.Host = *server
	}
	config.QPS = -1 // the API server's priority and fairness decides, for both ways to elect
	r.config, r.types = config, workload.Types(r.group)
	return r, nil
}

// writing is the configuration of a client that writes for objects.
func writing(config *rest.Config) *rest.Config {
	bounded := rest.CopyConfig(config)
	bounded.Timeout = requestTimeout
	return bounded
}
