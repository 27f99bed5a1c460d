// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/internal/config"
)

// configFile is the name of the configuration in Options.Dir.
const configFile = "config.yaml"

// Fleet is a group that is installed in a cluster, and its replicas. Its methods may be called from several goroutines.
type Fleet struct {
	options Options
	config  *config.Config
	run     string // different from that of all other fleets
	client  kubernetes.Interface
	dynamic dynamic.Interface

	mu       sync.Mutex // guards replicas
	replicas []*Replica // all that were ever launched, in that order
}

// New installs a group: its namespace, service account, permissions, CRDs and, on request, its layout record. It fails if any
// of that exists already. What it has installed when it fails is left to Uninstall, which is why the Fleet is returned even
// then, unless the options themselves are not usable.
func New(ctx context.Context, options Options) (*Fleet, error) {
	options, cfg, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Fleet{options: options, config: cfg, run: strings.ToLower(rand.Text())}
	if f.client, err = kubernetes.NewForConfig(options.Cluster.Config()); err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	if f.dynamic, err = dynamic.NewForConfig(options.Cluster.Config()); err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of the logs: %w", err)
	}
	if err := f.writeConfig(options.Config); err != nil {
		return nil, err
	}
	return f, f.install(ctx)
}

// Group returns the name of the group.
func (f *Fleet) Group() string { return f.config.Name }

// Namespace returns the namespace of the group's Leases and Pods.
func (f *Fleet) Namespace() string { return f.options.Namespace }

// LogDir returns the directory of the replicas' logs, each <pod>.log.
func (f *Fleet) LogDir() string { return f.options.Dir }

func (f *Fleet) configPath() string { return filepath.Join(f.options.Dir, configFile) }

// Replicas returns those whose process is running (or paused), in the order in which they were launched.
func (f *Fleet) Replicas() []*Replica {
	return slices.DeleteFunc(f.all(), func(r *Replica) bool { return !r.Running() })
}

// Replica returns the replica that was launched under this name; nil if there is none.
func (f *Fleet) Replica(name string) *Replica {
	all := f.all()
	if i := slices.IndexFunc(all, func(r *Replica) bool { return r.Name() == name }); i >= 0 {
		return all[i]
	}
	return nil
}

func (f *Fleet) all() []*Replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.replicas)
}

// Close kills the replicas that are still running. What is in the cluster stays; see Uninstall.
func (f *Fleet) Close() error {
	var errs []error
	for _, r := range f.Replicas() {
		errs = append(errs, r.Kill())
	}
	return errors.Join(errs...)
}

// UnexpectedEnd returns an error if a replica has ended that was not told to.
func (f *Fleet) UnexpectedEnd() error {
	var errs []error
	for _, r := range f.all() {
		errs = append(errs, r.unexpectedEnd())
	}
	return errors.Join(errs...)
}
