// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/shardctl/shardctl/internal/probe"
)

// readiness reads how to find out whether a replica is fit for a role.
func (o *object) readiness() *Readiness {
	r := &Readiness{Probe: o.probe()}
	r.Interval = o.within("interval", DefaultReadinessInterval, minInterval)
	r.Timeout = o.within("timeout", min(DefaultReadinessTimeout, r.Interval), minTimeout)
	if r.Timeout > r.Interval {
		o.fail(field.Invalid(o.path.Child("timeout"), o.fields["timeout"], fmt.Sprintf(
			"use at most the interval, %s: a check ends before the next one begins", r.Interval)))
	}
	r.FailureThreshold = int(o.integer("failureThreshold", DefaultReadinessFailureThreshold, maxThreshold))
	r.SuccessThreshold = int(o.integer("successThreshold", DefaultReadinessSuccessThreshold, maxThreshold))
	o.done()
	return r
}

// probe reads what is looked at.
func (o *object) probe() *probe.Config {
	before := len(*o.errs)
	c := &probe.Config{}
	kind := o.oneOf("say what is to be looked at", "http", "tcp", "exec", "pod")
	given := o.object(kind)
	switch kind {
	case "http":
		c.HTTP = &probe.HTTP{URL: given.text("url", "")}
	case "tcp":
		c.TCP = &probe.TCP{Address: given.text("address", "")}
	case "exec":
		c.Exec = &probe.Exec{Command: given.texts("command")}
	case "pod":
		c.Pod = &probe.Pod{}
	}
	given.done()
	if len(*o.errs) == before {
		*o.errs = append(*o.errs, c.Validate(o.path)...)
	}
	return c
}
