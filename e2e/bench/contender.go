// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

// contender is one of those that do the same work in the same run.
type contender string

const (
	session           contender = "shardctl"
	leaseMode         contender = "shardctl, lease mode"
	clientGo          contender = "client-go"
	knative           contender = "knative"
	controllerRuntime contender = "controller-runtime"
)

// contenders is the order in which tables and plots have them.
func contenders() []contender {
	return []contender{session, leaseMode, clientGo, knative, controllerRuntime}
}

// ours tells whether it is what this project makes: most targets are for that alone.
func (c contender) ours() bool { return c == session || c == leaseMode }
