// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// noAddress says in words that there is to be no local endpoint.
const noAddress = "none"

// leadership reads where programs ask who leads.
func (o *object) leadership() Leadership {
	before := len(*o.errs)
	l := Leadership{Asked: o.fields["address"] != nil, TLS: o.certificate("tls"), Authorization: o.boolean("authorization", false), Root: o.text("root", "")}
	switch o.fields["address"] {
	case "", noAddress:
		o.get("address")
	default:
		l.Address = o.address("address", DefaultLeadershipAddress)
	}
	o.done()
	switch {
	case len(*o.errs) > before, l.Address == "", loopback(l.Address):
	case !l.Authorization:
		o.fail(field.Invalid(o.path.Child("address"), l.Address,
			"everybody who reaches it could give roles up: use a loopback address, or set authorization: true"))
	case o.fields["tls"] == nil:
		o.fail(field.Required(o.path.Child("tls"), tokensInTheClear))
	}
	return l
}

// checkRoot reports a root of the local endpoint that is no leadership role.
func (p *parser) checkRoot(place Place, leadership *object) {
	root := p.config.Leadership.Root
	if root == "" {
		return
	}
	leads := func(r Role) bool { return r.Name == root && r.Lead != nil }
	if !slices.ContainsFunc(p.config.Roles, leads) {
		p.reportFields(place, field.ErrorList{field.Invalid(leadership.path.Child("root"), root,
			"there is no leadership role of this name: name a role that has the field leadership")})
	}
}
