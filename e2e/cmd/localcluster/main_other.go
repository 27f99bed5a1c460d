// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

// Command localcluster works on Linux only: it runs Pods as processes in namespaces of their own.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "localcluster: needs Linux; use kind, or e2e/cmd/controlplane, which runs no Pods")
	os.Exit(1)
}
