// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// expose registers what is told of the group when somebody asks: what this replica sees
// of it, its caches, its gates, and for how long its session is valid. Run follows the group for
// it.
func (g *Group) expose(r prometheus.Registerer) error {
	g.follower = &follower{
		group: g.opts.Name, namespace: g.opts.Namespace, leases: g.Leases, families: g.families, gone: g.metrics.forget,
	}
	validity := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "shardctl", Name: "session_validity_seconds", ConstLabels: prometheus.Labels{"group": g.opts.Name},
		Help: "For how long this replica's session is valid from now on if nothing is renewed; 0 once it is over.",
	}, g.sessionValidity)
	return errors.Join(
		r.Register(newGroupMetrics(g.follower)),
		r.Register(newInformerMetrics(g.set, g.opts.Name)),
		r.Register(newGateMetrics(func() []*role { return g.current().roles }, g.opts.Name)),
		r.Register(validity),
	)
}

// sessionValidity is in seconds.
func (g *Group) sessionValidity() float64 {
	d := g.election()
	if d == nil {
		return 0
	}
	return d.Remaining().Seconds()
}
