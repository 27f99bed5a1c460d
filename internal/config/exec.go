// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// roleVariable is set for programs of exec roles alone: see internal/child. Others are
// refused for all programs.
const roleVariable = "SHARDCTL_ROLE"

// exec reads what the field exec of a role has: a program that runs while the shard is
// held.
func (o *object) exec(role *object, drainTimeout time.Duration) *Exec {
	before := len(*o.errs)
	e := &Exec{
		Command:          o.texts("command"),
		Env:              o.env("env"),
		TerminationGrace: o.grace("terminationGrace", DefaultTerminationGrace, time.Millisecond, drainTimeout),
	}
	restart := o.object("restart")
	e.RestartInitial = restart.within("initial", DefaultRestartInitial, minInterval)
	e.RestartMax = restart.within("max", max(DefaultRestartMax, e.RestartInitial), minInterval)
	restart.done()
	if e.RestartMax < e.RestartInitial {
		restart.fail(field.Invalid(restart.path.Child("max"), restart.fields["max"], fmt.Sprintf("use %s, which initial is, or more", e.RestartInitial)))
	}
	o.done()
	for i, v := range e.Env {
		if v.Name == roleVariable {
			o.fail(field.Forbidden(o.path.Child("env").Index(i).Child("name"), roleVariable+" tells the program of its role and is set at every start: use another name"))
		}
	}
	role.checkCommand(e.Command, e.Env, before)
	return e
}

// lead reads what the field leadership of a role has.
func (o *object) lead(drainTimeout time.Duration) *Lead {
	l := &Lead{Grace: o.grace("grace", DefaultLeadGrace, 0, drainTimeout), Acknowledge: o.boolean("acknowledge", false)}
	o.done()
	if l.Acknowledge && l.Grace == 0 {
		o.fail(field.Invalid(o.path.Child("acknowledge"), true, "with a grace of 0s nobody is waited for: use a longer one, or remove this"))
	}
	return l
}

// grace reads how long something may go on after it was told to stop: it has to be over
// before the drainTimeout is.
func (o *object) grace(name string, usual, least, drainTimeout time.Duration) time.Duration {
	usual = max(min(usual, drainTimeout/2), least)
	grace, ok := o.duration(name, usual)
	if ok && o.fields[name] != nil && (grace < least || grace >= drainTimeout) {
		o.fail(field.Invalid(o.path.Child(name), o.fields[name], fmt.Sprintf(
			"use %s or more, and less than the drainTimeout, %s: what takes longer keeps its shard from moving", least, drainTimeout)))
		return usual
	}
	return grace
}
