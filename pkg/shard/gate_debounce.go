// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

// debounce makes of many checks one judgement that does not follow each of them. It has no
// clock, and nothing else that its input does not tell.
type debounce struct {
	// failures in a row close it, successes in a row open it.
	failures, successes int
	open                bool
	// against is how many checks in a row have spoken against what it is.
	against int
}

// take takes in one check, and tells whether it has changed the judgement.
func (d *debounce) take(ok bool) (changed bool) {
	if ok == d.open {
		d.against = 0
		return false
	}
	if d.against++; d.against < d.needed() {
		return false
	}
	d.open, d.against = ok, 0
	return true
}

// needed is how many in a row it takes to change what it is.
func (d *debounce) needed() int {
	if d.open {
		return d.failures
	}
	return d.successes
}
