// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	readyPoll    = 50 * time.Millisecond
	probeTimeout = 2 * time.Second
)

func (c *ControlPlane) startServer(name, binary string, args []string) (*process, error) {
	return command{
		name:  name,
		path:  c.binaries.path(binary),
		args:  args,
		log:   c.files.log(name),
		home:  c.files.home(),
		group: c.reaper.group(),
	}.start(c.breakDown)
}

// servers returns the servers that have been started, each before what it depends on: stopped in this order, none logs
// errors about another that is gone.
func (c *ControlPlane) servers() []*process {
	servers := []*process{c.scheduler, c.controllerManager}
	for _, s := range c.apiServers {
		servers = append(servers, s.process)
	}
	return slices.DeleteFunc(append(servers, c.etcd), func(p *process) bool { return p == nil })
}

// restart does two things that are of no use to a control plane that has been stopped.
func (c *ControlPlane) restart(ctx context.Context, end, start func(context.Context) error) error {
	if c.stopped {
		return errors.New("restart: the control plane has been stopped")
	}
	if err := end(ctx); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if err := start(ctx); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return nil
}

// await probes a server until it is ready, at most StartTimeout long, or until any server ends.
func (c *ControlPlane) await(ctx context.Context, server *process, probe func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, readyPoll, c.options.StartTimeout, true, func(ctx context.Context) (bool, error) {
		if c.broken.Err() != nil {
			return false, context.Cause(c.broken)
		}
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		last = probe(ctx)
		return last == nil, nil
	})
	if err == nil || c.broken.Err() != nil {
		return err
	}
	return fmt.Errorf("%s is not ready: %w; last answer: %w; the end of its log:\n%s", server.name, err, last, tail(server.log))
}

// getOK returns an error unless a GET request is answered by 200.
func getOK(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, tailBytes))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", url, response.Status, body)
	}
	return nil
}

// Wait returns nil when the context is done, or an error as soon as a server has ended by itself: with its name, its exit
// status and the end of its log. The control plane has to be stopped in either case.
func (c *ControlPlane) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-c.broken.Done():
		return context.Cause(c.broken)
	}
}

// Stop ends the servers and removes the control plane's directory; each server has 10 s before it is killed. It returns what
// could not be cleaned up, and why a server had ended before. A second call does nothing.
func (c *ControlPlane) Stop() error {
	// Asked first: afterwards the servers have ended because they were told to.
	broken := context.Cause(c.broken)
	if err := errors.Join(broken, c.stop()); err != nil {
		return fmt.Errorf("stop control plane: %w", err)
	}
	return nil
}

// stop undoes start, however far that has come.
func (c *ControlPlane) stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	var errs []error
	for _, server := range c.servers() {
		errs = append(errs, server.stop(context.Background()))
	}
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	ports := []*port{c.schedulerPort, c.managerPort, c.etcdPort}
	for _, s := range c.apiServers {
		if s.network != nil {
			errs = append(errs, s.network.Close())
		}
		ports = append(ports, s.port)
	}
	for _, port := range ports {
		if port != nil {
			errs = append(errs, port.release())
		}
	}
	if c.reaper != nil {
		errs = append(errs, c.reaper.reap())
	}
	return errors.Join(errs...)
}
