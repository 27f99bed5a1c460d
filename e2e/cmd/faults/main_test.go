// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

func TestCommandLine(t *testing.T) {
	o, err := parse([]string{"--runs=3", "--seed=9", "--groups=1", "--longest=5s", "--kinds=pause,kill"})
	if err != nil || o.Runs != 3 || o.Seed != 9 || o.Groups != 1 || o.Longest != 5*time.Second || len(o.Kinds) != 2 {
		t.Errorf("the options are %+v (%v)", o, err)
	}
	if _, err := parse([]string{"--kinds=flood"}); err == nil {
		t.Error("a kind that there is not is taken")
	}
}
