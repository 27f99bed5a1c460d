// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

const (
	// requestsWindow is for how long requests are counted: six of our RenewIntervals, nine of the others' RetryPeriods.
	requestsWindow      = 18 * time.Second
	requestsWindowQuick = 4 * time.Second
	// requestsTotal is the API server's count of requests.
	requestsTotal = "apiserver_request_total"
	// cpuOver is what CPU time is given for.
	cpuOver = 30 * time.Second
	// What client-go sends has to be so many times what we send, with the most shards.
	sessionTimes, leaseModeTimes = 100, 8
)

// requestSize is how large a group is.
type requestSize struct{ shards, replicas int }

func (s requestSize) String() string {
	return fmt.Sprintf("%d_shards_%d_replicas", s.shards, s.replicas)
}

// requestSizes end with the largest.
func requestSizes(quick bool) []requestSize {
	if quick {
		return []requestSize{{3, 2}}
	}
	return []requestSize{{10, 3}, {50, 3}, {50, 10}, {200, 10}}
}

// measureRequests counts what groups of several sizes send to the API server for their Leases while nothing happens, one group
// after the other, and what time API server and etcd take. Ours watches Leases instead of polling them, which is no request as
// long as the watch lasts. So what it is sent is counted, too: each event once for each watch that gets it. What is sent for all
// resources shows that nobody asks for something else instead. Without a group there is only what the control plane does itself,
// which is no part of a contender's merit, and is not subtracted.
//
// No contender has a client-side limit, and all have a
// LeaseDuration of 15 s: ours renew every 3 s, the others every 2 s, as often as controller-runtime does by default. To renew
// more rarely would spare them requests, but also leave them fewer attempts before their RenewDeadline of 10 s.
func measureRequests(ctx context.Context, b *bench) error {
	if _, err := b.controlPlane(ctx); err != nil {
		return err
	}
	idle, err := b.load(ctx)
	if err != nil {
		return err
	}
	b.add(figure{Name: "cpu_in_30_s_idle", Unit: "s", Value: idle.cpu})
	b.add(figure{Name: "requests_on_leases_idle", Unit: "1/s", Value: idle.requests()})
	b.add(figure{Name: "watch_events_on_leases_idle", Unit: "1/s", Value: idle.watched})
	b.add(figure{Name: "requests_on_all_resources_idle", Unit: "1/s", Value: idle.all})
	sizes := requestSizes(b.quick)
	largest := sizes[len(sizes)-1]
	total := map[contender]float64{}
	var errs []error
	for _, size := range sizes {
		for _, who := range contenders() {
			b.tellf("%s of %s", strings.ReplaceAll(size.String(), "_", " "), who)
			l, err := b.loadOf(ctx, who, size)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil { // the others can be measured all the same
				errs = append(errs, fmt.Errorf("%s of %s: %w", size, who, err))
				continue
			}
			b.addRequests(who, size, l)
			if size == largest {
				total[who] = l.requests()
			}
		}
	}
	b.addRequestTimes(largest, total)
	return errors.Join(errs...)
}

// addRequestTimes adds how many times as much client-go sends. There is no telling of whom nothing was counted.
func (b *bench) addRequestTimes(size requestSize, total map[contender]float64) {
	name := fmt.Sprintf("client_go_requests_times_ours_%d_%d", size.shards, size.replicas)
	for _, ours := range []struct {
		who   contender
		least float64
	}{{session, sessionTimes}, {leaseMode, leaseModeTimes}} {
		if total[clientGo] > 0 && total[ours.who] > 0 {
			times := total[clientGo] / total[ours.who]
			b.add(figure{Name: name, Who: ours.who, Unit: "times", Value: times}.atLeast(ours.least))
		}
	}
}

// addRequests adds a figure for each verb that matters here (what the others have in common is that they are rare), the sum, and
// what else was counted. The names of these are of another form: whoever adds up all rates of a size wants requests on Leases, each
// once.
func (b *bench) addRequests(who contender, size requestSize, l load) {
	for _, verb := range []string{"GET", "PUT"} {
		b.add(figure{Name: fmt.Sprintf("%s_%s", strings.ToLower(verb), size), Who: who, Unit: "1/s", Value: l.verbs[verb]})
	}
	var rest float64
	for verb, rate := range l.verbs {
		if verb != "GET" && verb != "PUT" {
			rest += rate
		}
	}
	b.add(figure{Name: fmt.Sprintf("others_%s", size), Who: who, Unit: "1/s", Value: rest})
	of := fmt.Sprintf("%d_shards_on_%d_replicas", size.shards, size.replicas)
	b.add(figure{Name: "sum_" + of, Who: who, Unit: "1/s", Value: l.requests()})
	b.add(figure{Name: "watch_events_on_leases_of_" + of, Who: who, Unit: "1/s", Value: l.watched})
	b.add(figure{Name: "requests_on_all_resources_of_" + of, Who: who, Unit: "1/s", Value: l.all})
	b.add(figure{Name: fmt.Sprintf("cpu_in_30_s_%s", size), Who: who, Unit: "s", Value: l.cpu})
}

// loadOf waits until a new group has come to rest, and counts. Nothing is left running of it.
func (b *bench) loadOf(ctx context.Context, who contender, size requestSize) (l load, err error) {
	g, err := b.install(ctx, fmt.Sprintf("requests-%s-%d-%d", who.label(), size.shards, size.replicas), size.shards)
	if err != nil {
		return load{}, err
	}
	defer func() { err = errors.Join(err, g.fleet.Close()) }()
	var pods []string
	for i := range size.replicas {
		pods = append(pods, fmt.Sprintf("%s-%d", g.name, i))
		if _, err := g.launch(ctx, pods[i], append(who.args(), "--idle")...); err != nil {
			return load{}, err
		}
	}
	began := time.Now()
	if err := g.awaitDecided(ctx, who, b.steady(), pods...); err != nil {
		return load{}, err
	}
	b.tellf("all is decided %.1f s after the last start", time.Since(began).Seconds())
	if l, err = b.load(ctx); err != nil {
		return load{}, err
	}
	return l, g.fleet.UnexpectedEnd() // else it was not the group that it should be
}

// load is what a control plane has to do.
type load struct {
	verbs   map[string]float64 // requests on Leases per second
	all     float64            // requests on all resources per second
	watched float64            // events on Leases per second, each as often as it was sent
	cpu     float64            // seconds of API server and etcd in cpuOver
}

// requests are those of all verbs, per second.
func (l load) requests() float64 {
	var sum float64
	for _, n := range l.verbs {
		sum += n
	}
	return sum
}

// load counts for a while.
func (b *bench) load(ctx context.Context) (load, error) {
	window := requestsWindow
	if b.quick {
		window = requestsWindowQuick
	}
	before, err := readCounters(ctx, b.cp)
	if err != nil {
		return load{}, err
	}
	began := time.Now()
	if err := pause(ctx, window); err != nil {
		return load{}, err
	}
	after, err := readCounters(ctx, b.cp)
	if err != nil {
		return load{}, err
	}
	return after.since(before, time.Since(began)), nil
}

// counters are what servers have counted since they were started.
type counters struct {
	verbs             map[string]float64
	all, watched, cpu float64
}

func (c counters) since(before counters, took time.Duration) load {
	l := load{
		verbs:   map[string]float64{},
		all:     (c.all - before.all) / took.Seconds(),
		watched: (c.watched - before.watched) / took.Seconds(),
		cpu:     (c.cpu - before.cpu) * cpuOver.Seconds() / took.Seconds(),
	}
	for verb, n := range c.verbs {
		l.verbs[verb] = (n - before.verbs[verb]) / took.Seconds()
	}
	return l
}

// readCounters asks the API server and etcd. A watch counts when it ends.
func readCounters(ctx context.Context, cp *controlplane.ControlPlane) (counters, error) {
	etcd, err := etcdMetrics(ctx, cp)
	if err != nil {
		return counters{}, err
	}
	api, err := cp.Metrics(ctx)
	if err != nil {
		return counters{}, err
	}
	c := counters{verbs: map[string]float64{}}
	for _, verb := range []string{"GET", "LIST", "WATCH", "POST", "PUT", "PATCH", "APPLY", "DELETE"} {
		c.verbs[verb] = api.Sum(requestsTotal, map[string]string{"resource": "leases", "verb": verb})
	}
	c.all = api.Sum(requestsTotal, nil) - api.Sum(requestsTotal, map[string]string{"resource": ""}) // such as for these metrics
	c.watched = api.Sum("apiserver_watch_events_total", map[string]string{"resource": "leases"})
	for _, server := range []controlplane.Metrics{api, etcd} {
		c.cpu += server.Sum("process_cpu_seconds_total", nil)
	}
	return c, nil
}
