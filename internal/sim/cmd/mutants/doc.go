// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command mutants tells whether the simulator would notice: it builds it anew
// with one seeded bug after the other, each a rule left out or a classical
// mistake, and fails unless every one of them is caught within the histories
// that run with every test.
//
// A mutant is an edit of the source that the compiler is shown instead of the
// file (go build -overlay): nothing of it is in what ships. The edit names the
// exact text that it replaces, so that it cannot silently stop to apply.
package main
