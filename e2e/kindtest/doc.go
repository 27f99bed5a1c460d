// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kindtest runs the suite of package deployed on a cluster of kind: `make e2e-kind`. Without E2E_KIND=1 it does nothing, so
// that `go test ./...` neither needs docker nor waits for it.
package kindtest
