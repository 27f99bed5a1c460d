// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// configurationDocument reads the document of kind Configuration.
func (p *parser) configurationDocument(place Place, fields map[string]any) {
	if p.configuration.Line != 0 {
		p.reportf(place, "kind %s is there already (%s): keep one of the two, a process is one group", Kind, p.configuration.inFile())
		return
	}
	p.configuration = place

	var errs field.ErrorList
	document := &object{fields: fields, errs: &errs}
	document.get("apiVersion")
	document.get("kind")

	metadata := document.object("metadata")
	p.config.Name = metadata.requiredLabel("name", "name the group: replicas with the same name share the shards")
	metadata.done()

	spec := document.object("spec")
	p.config.Namespace = spec.label("namespace")
	p.config.Timings = spec.timings("timings")
	p.config.Mode = lease.Mode(spec.text("mode", string(lease.SessionMode)))
	errs = append(errs, p.config.Mode.Validate(p.config.Timings, spec.path)...)
	p.config.PodWatch = spec.boolean("podWatch", true)
	p.config.DrainTimeout = spec.drainTimeout("drainTimeout")
	p.config.Workers = int(spec.integer("workers", DefaultWorkers, maxWorkers))
	p.config.Balance = spec.balance("balance")
	p.http(spec.object("http"))
	leadership := spec.object("leadership")
	p.config.Leadership = leadership.leadership()
	p.config.Events = spec.boolean("events", true)
	roles := spec.objects("roles")
	spec.done()
	document.done()
	p.reportFields(place, errs)

	for _, role := range roles {
		p.role(place, role)
	}
	p.checkRoot(place, leadership)
}

// timings reads durations over those of a preset and checks them together.
func (o *object) timings(name string) lease.Timings {
	presets := lease.Presets()
	given := o.object(name)
	preset := given.text("preset", "default")
	timings, known := presets[preset]
	if !known {
		given.fail(field.NotSupported(given.path.Child("preset"), preset, slices.Sorted(maps.Keys(presets))))
	}
	var ok [3]bool
	timings.LeaseDuration, ok[0] = given.duration("leaseDuration", timings.LeaseDuration)
	timings.RenewDeadline, ok[1] = given.duration("renewDeadline", timings.RenewDeadline)
	timings.RenewInterval, ok[2] = given.duration("renewInterval", timings.RenewInterval)
	given.done()
	// With one of them missing, the rules would name the wrong one.
	if known && ok == [...]bool{true, true, true} {
		*o.errs = append(*o.errs, timings.Validate(given.path)...)
	}
	return timings
}

// drainTimeout reads how long work in flight may take to end.
func (o *object) drainTimeout(name string) time.Duration {
	timeout, ok := o.duration(name, DefaultDrainTimeout)
	if ok && (timeout <= 0 || timeout > maxDrainTimeout) {
		o.fail(field.Invalid(o.path.Child(name), o.fields[name], fmt.Sprintf("use more than 0s and at most %s", maxDrainTimeout)))
		return DefaultDrainTimeout
	}
	return timeout
}

// balance reads how evenly shards are spread.
func (o *object) balance(name string) shard.Balance {
	given := o.object(name)
	b := shard.Balance{
		Tolerance: given.share("tolerance"),
		Budget:    int(given.integer("budget", 0, maxBudget)),
	}
	var ok bool
	b.Cooldown, ok = given.duration("cooldown", 0)
	if ok && given.fields["cooldown"] != nil && (b.Cooldown <= 0 || b.Cooldown > maxCooldown) {
		given.fail(field.Invalid(given.path.Child("cooldown"), given.fields["cooldown"], fmt.Sprintf("use more than 0s and at most %s", maxCooldown)))
	}
	given.done()
	return b
}

// label reads a DNS label: empty if it is not there or not one. The latter is
// recorded.
func (o *object) label(name string) string {
	label := o.text(name, "")
	if label != "" && len(validation.IsDNS1123Label(label)) > 0 {
		o.fail(field.Invalid(o.path.Child(name), label,
			"use 1 to 63 lower case letters, digits and hyphens, with no hyphen at either end"))
		return ""
	}
	return label
}

// requiredLabel reads a DNS label that must be there, for the reason why.
func (o *object) requiredLabel(name, why string) string {
	if value := o.fields[name]; value == nil || value == "" {
		o.fail(field.Required(o.path.Child(name), why))
	}
	return o.label(name)
}
