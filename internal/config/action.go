// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"github.com/shardctl/shardctl/internal/hook"
)

// action reads what a schedule calls, from the object's fields webhook or exec: nil if
// there is not exactly one of them, or it is not valid. That is recorded.
func (o *object) action() *hook.Config {
	before := len(*o.errs)
	action := &hook.Config{}
	switch kind := o.oneOf("say what is to be done", "webhook", "exec"); kind {
	case "webhook":
		action.Webhook = o.object(kind).webhook()
	case "exec":
		action.Exec = o.object(kind).program()
		if action.Exec.Timeout == "" {
			// A call of a reconcile keeps a worker busy; what is run now and then may take its time.
			action.Exec.Timeout = hook.MaxTimeout.String()
		}
	}
	return o.valid(action, before)
}

// webhook reads one, as hooks of decorators have it, but for how to read an answer: there
// is none to read.
func (o *object) webhook() *hook.Webhook {
	w := &hook.Webhook{URL: o.text("url", ""), Path: o.text("path", ""), Timeout: o.text("timeout", "")}
	service := o.object("service")
	if o.fields["service"] != nil {
		w.Service = &hook.Service{Name: service.text("name", ""), Namespace: service.text("namespace", ""), Protocol: service.text("protocol", "")}
		if port := int32(service.integer("port", 0, 65535)); port > 0 {
			w.Service.Port = &port
		}
		service.done()
	}
	o.done()
	return w
}

// program reads one that is run for each call, as hooks of decorators have it.
func (o *object) program() *hook.Exec {
	e := &hook.Exec{Command: o.texts("command"), Env: o.env("env"), Timeout: o.text("timeout", "")}
	o.done()
	return e
}

// env reads environment variables.
func (o *object) env(name string) []hook.EnvVar {
	var env []hook.EnvVar
	for _, variable := range o.objects(name) {
		env = append(env, hook.EnvVar{Name: variable.text("name", ""), Value: variable.text("value", "")})
		variable.done()
	}
	return env
}

// valid is the configuration of a hook that has been read from the object's fields, if it
// can be used: else nil, which is recorded, unless reading has recorded more than before
// already.
func (o *object) valid(c *hook.Config, before int) *hook.Config {
	if len(*o.errs) > before {
		return nil
	}
	if errs := c.Validate(o.path); len(errs) > 0 {
		*o.errs = append(*o.errs, errs...)
		return nil
	}
	return c
}

// checkCommand checks a program and its environment that were read from the field exec of
// the object, unless reading has recorded more than before already.
func (o *object) checkCommand(command []string, env []hook.EnvVar, before int) {
	if len(*o.errs) == before {
		*o.errs = append(*o.errs, (&hook.Config{Exec: &hook.Exec{Command: command, Env: env}}).Validate(o.path)...)
	}
}
