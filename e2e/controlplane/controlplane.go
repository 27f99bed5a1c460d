// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// ControlPlane is a running control plane. Its methods may be called from several goroutines.
type ControlPlane struct {
	options  Options
	binaries Binaries
	files    files
	reaper   *reaper

	etcdPort, managerPort, schedulerPort *port
	apiServers                           []*apiServer // at least one

	authority *authority
	etcdTLS   *tls.Config
	admin     *rest.Config
	http      *http.Client
	client    *kubernetes.Clientset

	// broken is done, with the reason as its cause, once a server has ended that should not have.
	broken    context.Context
	breakDown context.CancelCauseFunc

	// mu is held while servers are started and stopped, and guards what follows and the API servers' processes.
	mu                                 sync.Mutex
	etcd, controllerManager, scheduler *process
	stopped                            bool
}

// New builds what has to be built (see Build), starts a control plane, and returns when it is ready to be used: within 2 to 3 s
// if nothing had to be built. The context limits the start only. The caller has to call Stop.
//
// If a server does not start, the error has the end of its log, and nothing is left running.
func New(ctx context.Context, options Options) (*ControlPlane, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	binaries, err := Build(ctx, options.Output)
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{options: options, binaries: binaries}
	c.broken, c.breakDown = context.WithCancelCause(context.Background())
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start control plane: %w", err), c.stop())
	}
	return c, nil
}

// start leaves it to stop to undo what it has done when it fails.
func (c *ControlPlane) start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.occupy(); err != nil {
		return err
	}
	if err := c.makeCredentials(); err != nil {
		return err
	}
	if err := c.startEtcd(ctx, hasty...); err != nil {
		return err
	}
	if err := c.startAPIServers(ctx); err != nil {
		return err
	}
	if !c.options.NoControllerManager {
		if err := c.startControllerManager(ctx); err != nil {
			return err
		}
	}
	if !c.options.Scheduler {
		return nil
	}
	return c.startScheduler(ctx)
}

// occupy takes a directory and a port for each server.
func (c *ControlPlane) occupy() error {
	dir, err := c.options.makeDir()
	if err != nil {
		return err
	}
	if c.reaper, err = startReaper(c.binaries.path(reaperBinary), dir); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if c.files, err = makeFiles(dir, c.options.LogDir); err != nil {
		return err
	}
	ports := []**port{&c.etcdPort, &c.managerPort, &c.schedulerPort}
	for i := range c.options.APIServers {
		s := &apiServer{name: apiServerName(i), auditLog: c.files.auditLog(i)}
		c.apiServers = append(c.apiServers, s)
		ports = append(ports, &s.port)
	}
	for _, p := range ports {
		if *p, err = reservePort(); err != nil {
			return err
		}
	}
	return c.layNetworks()
}
