// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/pkg/shard"
)

const (
	// lookPause is how often the configuration file is looked at. The kubelet takes up
	// to a minute to bring a ConfigMap; and it replaces a directory by way of a symbolic
	// link, which a watch on the file itself would miss.
	lookPause = 5 * time.Second
	// retryPause is after how long a file is tried again that was refused for what may
	// change by itself, such as a permission that is not there yet.
	retryPause = time.Minute
	// tryTimeout is how long a file may take to come into force: the API server has to
	// answer what is permitted, and caches have to fill.
	tryTimeout = 2 * time.Minute
	// hashDigits tell one file from another, for people.
	hashDigits = 12
)

// reloader puts a new configuration file into force while the replica runs, or refuses
// it as a whole; then the last one stays.
type reloader struct {
	path     string
	group    changeable
	workshop *workshop
	local    *localEndpoint
	// permitted returns an error that says what a configuration needs and this replica
	// may not do.
	permitted func(context.Context, *config.Config) error
	// changed is told what is in force from now on.
	changed func(context.Context, *config.Config)
	// now, if it delivers, has the file tried again without delay.
	now <-chan os.Signal

	force   *config.Config // what is in force
	tried   string         // the hash of the text that was tried last
	refused refusal        // of that; zero if it is in force
	metrics *reloadMetrics
}

// changeable is what a reloader does with its group.
type changeable interface {
	Apply(ctx context.Context, c shard.Change) error
	ReportProblem(text string)
}

// refusal is why a file is not in force.
type refusal struct {
	err   error
	again time.Time // when to try the same text again; zero for never
}

func (r *Replica) reloader(rc *rest.Config, cfg *config.Config, o Options) *reloader {
	return &reloader{
		path: o.ConfigFile, group: r.group, workshop: r.workshop, local: r.local, now: o.Reload, force: cfg,
		permitted: func(ctx context.Context, next *config.Config) error {
			check, err := newPreflight(rc, next, r.namespace, o.TolerateMissingPermissions)
			if err != nil {
				return err
			}
			return check.check(ctx)
		},
		changed: func(ctx context.Context, now *config.Config) { r.introduction.calls(ctx, config.TypesOf(now)) },
		metrics: newReloadMetrics(r.registry, cfg.Name),
	}
}

// run looks at the file until ctx ends.
func (l *reloader) run(ctx context.Context) {
	ticker := time.NewTicker(lookPause)
	defer ticker.Stop()
	for {
		l.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-l.now:
			l.refused.again = time.Now()
		}
	}
}

// look reads the file, and tries it if it is another than before, or it is time to try
// it again.
func (l *reloader) look(ctx context.Context) {
	text, err := config.Read(l.path)
	if err != nil {
		// Not to be read: it may be any text again when it is.
		l.tried = ""
		l.refuse(ctx, refusal{err: err})
		return
	}
	sum := sha256.Sum256(text)
	hash := hex.EncodeToString(sum[:])[:hashDigits]
	again := l.refused.err != nil && !l.refused.again.IsZero() && time.Now().After(l.refused.again)
	if hash == l.tried && !again {
		return
	}
	l.tried = hash
	switch no := l.try(ctx, text); {
	case ctx.Err() != nil:
	case no.err != nil:
		l.refuse(ctx, no)
	default:
		l.accept(ctx, hash)
	}
}

// try puts a text into force.
func (l *reloader) try(ctx context.Context, text []byte) refusal {
	next, err := config.Parse(l.path, text)
	if err != nil {
		return refusal{err: err}
	}
	if err := unchangeable(l.force, next); err != nil {
		return refusal{err: err}
	}
	change, was := difference(l.force, next)
	if !was {
		return refusal{}
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	later := func(err error) refusal { return refusal{err: err, again: time.Now().Add(retryPause)} }
	if err := l.permitted(ctx, next); err != nil {
		return later(err)
	}
	if err := l.apply(ctx, change, next); err != nil {
		return later(err)
	}
	klog.FromContext(ctx).Info("The configuration has changed", "added", change.names(onlyAdded), "changed", change.names(changed), "removed", change.names(onlyRemoved))
	l.force = next
	l.changed(ctx, next)
	return refusal{}
}

// apply has the group do what is in the next configuration.
func (l *reloader) apply(ctx context.Context, c roleChange, next *config.Config) error {
	if err := l.local.listen(ctx, next); err != nil {
		return err
	}
	change, abandon, err := l.workshop.duties(c.added, next.Workers)
	if err != nil {
		return err
	}
	change.RemoveControllers, change.RemoveRoles = c.leaving()
	// Before they begin: somebody may ask for them at once.
	l.local.knows(next)
	if err := l.group.Apply(ctx, change); err != nil {
		l.local.knows(l.force)
		abandon()
		return err
	}
	return nil
}

func (l *reloader) accept(ctx context.Context, hash string) {
	if l.refused.err != nil {
		klog.FromContext(ctx).Info("The configuration file is in force", "file", l.path, "hash", hash)
	}
	l.refused = refusal{}
	l.group.ReportProblem("")
	l.metrics.accepted(hash)
}

// refuse says once why a file is not in force.
func (l *reloader) refuse(ctx context.Context, no refusal) {
	if l.refused.err == nil || l.refused.err.Error() != no.err.Error() {
		klog.FromContext(ctx).Error(no.err, "The configuration file is refused, the last one stays in force", "file", l.path)
	}
	l.refused = no
	l.group.ReportProblem("configuration refused, the last one is in force: " + firstOf(no.err).Error())
	l.metrics.refused()
}

// firstOf is the first problem of a file, or the error itself.
func firstOf(err error) error {
	if invalid := (*config.InvalidError)(nil); errors.As(err, &invalid) && len(invalid.Problems) > 1 {
		return fmt.Errorf("%s, and %d more problems", invalid.Problems[0], len(invalid.Problems)-1)
	}
	return err
}

// reloadMetrics say which file is in force.
type reloadMetrics struct {
	successful prometheus.Gauge
	at         prometheus.Gauge
	info       *prometheus.GaugeVec
}

func newReloadMetrics(r prometheus.Registerer, group string) *reloadMetrics {
	opts := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: "shardctl", Name: name, Help: help, ConstLabels: prometheus.Labels{"group": group}}
	}
	m := &reloadMetrics{
		successful: prometheus.NewGauge(opts("config_last_reload_successful", "1 if the configuration file as it is now is in force, 0 if it was refused.")),
		at:         prometheus.NewGauge(opts("config_last_reload_success_timestamp_seconds", "When a configuration file last came into force, in seconds since 1970.")),
		info:       prometheus.NewGaugeVec(opts("config_info", "1, with the beginning of the SHA-256 of the configuration file that is in force."), []string{"hash"}),
	}
	m.successful.Set(1) // what the replica was made with
	r.MustRegister(m.successful, m.at, m.info)
	return m
}

func (m *reloadMetrics) accepted(hash string) {
	m.successful.Set(1)
	m.at.SetToCurrentTime()
	m.info.Reset()
	m.info.WithLabelValues(hash).Set(1)
}

func (m *reloadMetrics) refused() { m.successful.Set(0) }
