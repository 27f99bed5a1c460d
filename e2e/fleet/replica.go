// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

// Replica is a Pod and the process that runs as it.
type Replica struct {
	fleet *Fleet
	pod   *controlplane.Replica
	args  []string
	log   string

	mu      sync.Mutex // guards process, which Restart replaces
	process *Process
}

// Exit says how a replica's process has ended.
type Exit struct {
	Code  int           // its exit code; -1 if a signal ended it
	State string        // for people, such as "exit status 0" or "signal: killed"
	Took  time.Duration // from the signal, or the beginning of the wait, to the end
}

// Pod says as what a replica runs.
type Pod struct {
	Name   string            // there must be none of this name
	Labels map[string]string // besides the fleet's own
	// Owners, such as a ReplicaSet, have to exist: the garbage collector deletes a Pod whose owners do not.
	Owners []metav1.OwnerReference
}

// Launch makes a Pod of this name, which must not exist, and starts `shardctl run` as it. The arguments are added to the
// command line, such as "--revision=2". The context limits the making of the Pod only: the process runs until it is ended, at
// the latest by [Fleet.Close].
func (f *Fleet) Launch(ctx context.Context, name string, args ...string) (*Replica, error) {
	return f.LaunchPod(ctx, Pod{Name: name}, args...)
}

// LaunchPod is like Launch, for a Pod that somebody seems to have made.
func (f *Fleet) LaunchPod(ctx context.Context, p Pod, args ...string) (*Replica, error) {
	labels := f.labels()
	maps.Copy(labels, p.Labels)
	pod, err := f.options.Cluster.NewReplica(ctx, controlplane.ReplicaOptions{
		Namespace: f.Namespace(), Name: p.Name, ServiceAccount: serviceAccount,
		Labels: labels, OwnerReferences: p.Owners,
	})
	if err != nil {
		return nil, fmt.Errorf("launch replica %s: %w", p.Name, err)
	}
	r := &Replica{fleet: f, pod: pod, args: args, log: filepath.Join(f.options.Dir, p.Name+".log")}
	if err := r.start(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas = append(f.replicas, r)
	return r, nil
}

func (r *Replica) start() error {
	args := append([]string{"run", "--config=" + r.fleet.configPath(), "--kubeconfig=" + r.pod.Kubeconfig}, r.args...)
	p, err := StartProcess(r.fleet.options.Binary, args, r.environment(), r.log)
	if err != nil {
		return fmt.Errorf("replica %s: %w", r.Name(), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.process = p
	return nil
}

func (r *Replica) environment() []string {
	env := []string{"POD_NAME=" + r.pod.Name, "POD_UID=" + string(r.pod.UID), "POD_NAMESPACE=" + r.pod.Namespace}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} { // what hooks that are programs may need
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return slices.Concat(env, r.fleet.options.Env)
}

// Name returns the name of the Pod.
func (r *Replica) Name() string { return r.pod.Name }

// UID returns the UID of the Pod.
func (r *Replica) UID() types.UID { return r.pod.UID }

// Pod returns the Pod and the means to act as it.
func (r *Replica) Pod() *controlplane.Replica { return r.pod }

// PID returns the number of the replica's process.
func (r *Replica) PID() int { return r.current().PID() }

// Running says whether the process has not ended; a paused one has not.
func (r *Replica) Running() bool { return r.current().Running() }

func (r *Replica) current() *Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process
}

// Kill ends the process by SIGKILL and returns when it has ended. Like all of these it is a no-op once that has happened.
func (r *Replica) Kill() error {
	if err := r.current().Kill(); err != nil {
		return fmt.Errorf("replica %s: %w", r.Name(), err)
	}
	return nil
}

// Terminate sends SIGTERM, as a kubelet does, and waits for the end. If the context is done before that, the process goes on.
func (r *Replica) Terminate(ctx context.Context) (Exit, error) {
	if err := r.signal(syscall.SIGTERM); err != nil {
		return Exit{}, err
	}
	return r.Wait(ctx)
}

// Pause stops the process in its tracks (SIGSTOP), until Resume.
func (r *Replica) Pause() error { return r.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on (SIGCONT).
func (r *Replica) Resume() error { return r.signal(syscall.SIGCONT) }

func (r *Replica) signal(signal syscall.Signal) error {
	p := r.current()
	if signal == syscall.SIGTERM {
		p.told.Store(true)
	}
	if err := p.signal(signal); err != nil {
		return fmt.Errorf("replica %s: %w", r.Name(), err)
	}
	return nil
}

// Wait waits for the end of the process, which is thereby expected. The error, if the context is done before, has the end of
// the log.
func (r *Replica) Wait(ctx context.Context) (Exit, error) {
	began, p := time.Now(), r.current()
	p.told.Store(true)
	select {
	case <-p.exited:
		state := p.cmd.ProcessState
		return Exit{Code: state.ExitCode(), State: state.String(), Took: time.Since(began)}, nil
	case <-ctx.Done():
		return Exit{}, fmt.Errorf("replica %s has not ended after %v: %w; %s",
			r.Name(), time.Since(began).Round(time.Millisecond), context.Cause(ctx), tail(r.log))
	}
}

// Restart starts the process again as the same Pod, as a kubelet restarts a container. It must have ended.
func (r *Replica) Restart() error {
	if r.Running() {
		return fmt.Errorf("restart replica %s: process %d is still running: end it first", r.Name(), r.PID())
	}
	return r.start()
}

func (r *Replica) unexpectedEnd() error {
	p := r.current()
	if p.Running() || p.told.Load() {
		return nil
	}
	return fmt.Errorf("replica %s has ended by itself: %s; %s", r.Name(), p.cmd.ProcessState, tail(r.log))
}
