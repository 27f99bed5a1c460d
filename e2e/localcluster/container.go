// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// A container that ends again and again is started again after firstBackOff, then twice as long each time up to maxBackOff. A
// kubelet's times are 10 s and 5 minutes: nobody wants to wait for that in a test.
const (
	firstBackOff = time.Second
	maxBackOff   = 10 * time.Second
	// soundAfter is how long a container has to have run for its restarts not to count as a series.
	soundAfter = time.Minute
)

const (
	runtimeScheme      = "localcluster://"
	maxTerminationText = 4096
)

// container is one container of a Pod, over its restarts.
type container struct {
	worker *worker
	spec   *corev1.Container
	policy corev1.RestartPolicy

	started chan struct{} // closed once it has been started, and its startup probe was content

	mu      sync.Mutex // guards what follows
	status  corev1.ContainerStatus
	process *process // the one that runs
}

func newContainer(w *worker, spec *corev1.Container) *container {
	policy := w.pod.Spec.RestartPolicy
	if spec.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*spec.RestartPolicy)
	}
	return &container{worker: w, spec: spec, policy: policy, started: make(chan struct{}), status: corev1.ContainerStatus{
		Name:    spec.Name,
		Image:   spec.Image,
		State:   corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
		Started: ptr.To(false),
	}}
}

// startError is why a container does not run, in a kubelet's words.
type startError struct {
	reason string
	err    error
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// run runs the container, again and again as its restart policy says, until that is over or leaving is done; then it is given
// the Pod's grace to end. When ctx is done it is killed at once.
func (c *container) run(ctx, leaving context.Context) {
	backOff := firstBackOff
	for leaving.Err() == nil {
		began := time.Now()
		again := c.runOnce(ctx, leaving)
		if !again {
			return
		}
		if time.Since(began) > soundAfter {
			backOff = firstBackOff
		}
		if !pause(leaving, backOff) {
			return
		}
		backOff = min(2*backOff, maxBackOff)
	}
}

// awaitStarted waits until the container has been started, and tells whether it has.
func (c *container) awaitStarted(leaving context.Context) bool {
	select {
	case <-c.started:
		return true
	case <-leaving.Done():
		return false
	}
}

// runOnce runs the container until it ends, and tells whether it is to be run again.
func (c *container) runOnce(ctx, leaving context.Context) bool {
	id := newID()
	p, err := c.start(leaving, id)
	if err != nil {
		c.wait(err)
		return true
	}
	began := time.Now()
	c.set(func(s *corev1.ContainerStatus) {
		s.ContainerID = runtimeScheme + id
		s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(began)}}
		s.Started, s.Ready = ptr.To(c.spec.StartupProbe == nil), c.spec.StartupProbe == nil && c.spec.ReadinessProbe == nil
		c.process = p
	})
	c.attend(ctx, leaving, p)
	return c.ended(leaving, p, id, began)
}

// attend probes the process until it has ended, and ends it if it has to.
func (c *container) attend(ctx, leaving context.Context, p *process) {
	healthy, fail := context.WithCancelCause(leaving)
	defer fail(nil)
	var probes sync.WaitGroup
	probes.Go(func() { c.probe(healthy, fail) })
	select {
	case <-p.exited:
	case <-healthy.Done():
		if reason := context.Cause(healthy); leaving.Err() == nil {
			c.worker.logger.Info("Container is restarted", "container", c.spec.Name, "reason", reason.Error())
		}
		c.terminate(ctx, p)
	}
	fail(nil)
	probes.Wait()
}

// probe runs the container's probes, the others after that for its start. A liveness or startup probe that has failed is what it
// calls fail with.
func (c *container) probe(ctx context.Context, fail context.CancelCauseFunc) {
	failed := func(kind string, reason error) { fail(fmt.Errorf("%s probe failed: %w", kind, reason)) }
	network := c.worker.network
	if spec := c.spec.StartupProbe; spec != nil {
		starting, started := context.WithCancel(ctx)
		prober{spec, c.spec, network}.run(starting, func(ok bool, reason error) {
			if !ok {
				failed("startup", reason)
			}
			started()
		})
		started()
		if ctx.Err() != nil {
			return
		}
		c.set(func(s *corev1.ContainerStatus) { s.Started, s.Ready = ptr.To(true), c.spec.ReadinessProbe == nil })
	}
	var probes sync.WaitGroup
	if spec := c.spec.ReadinessProbe; spec != nil {
		probes.Go(func() {
			prober{spec, c.spec, network}.run(ctx, func(ok bool, _ error) {
				c.set(func(s *corev1.ContainerStatus) { s.Ready = ok })
			})
		})
	}
	if spec := c.spec.LivenessProbe; spec != nil {
		probes.Go(func() {
			prober{spec, c.spec, network}.run(ctx, func(ok bool, reason error) {
				if !ok {
					failed("liveness", reason)
				}
			})
		})
	}
	probes.Wait()
}

// terminate asks the process to end, and kills it after the Pod's grace, or at once when ctx is done.
func (c *container) terminate(ctx context.Context, p *process) {
	_ = p.signal(syscall.SIGTERM) // if that is not possible, SIGKILL is what is left
	timer := time.NewTimer(c.worker.grace())
	defer timer.Stop()
	select {
	case <-p.exited:
		return
	case <-timer.C:
	case <-ctx.Done():
	}
	_ = p.signal(syscall.SIGKILL)
	<-p.exited
}

// kill sends SIGKILL to the main process, of which nothing else is told.
func (c *container) kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return errors.New("it is not running")
	}
	return c.process.signal(syscall.SIGKILL)
}

// ended notes how the process has ended, and tells whether the container is to be run again.
func (c *container) ended(leaving context.Context, p *process, id string, began time.Time) bool {
	code := p.exitCode()
	terminated := &corev1.ContainerStateTerminated{
		ExitCode:    code,
		Reason:      "Completed",
		Message:     c.terminationMessage(id),
		StartedAt:   metav1.NewTime(began),
		FinishedAt:  metav1.Now(),
		ContainerID: runtimeScheme + id,
	}
	if code != 0 {
		terminated.Reason = "Error"
	}
	again := leaving.Err() == nil &&
		(c.policy == corev1.RestartPolicyAlways || c.policy == corev1.RestartPolicyOnFailure && code != 0)
	c.set(func(s *corev1.ContainerStatus) {
		c.process = nil
		s.Ready, s.Started = false, ptr.To(false)
		s.State = corev1.ContainerState{Terminated: terminated}
		if again {
			s.LastTerminationState = s.State
			s.RestartCount++
			s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
				Reason: "CrashLoopBackOff", Message: "back-off restarting container " + c.spec.Name,
			}}
		}
	})
	return again
}

// wait notes why the container could not be started.
func (c *container) wait(err error) {
	waiting := &corev1.ContainerStateWaiting{Reason: "CreateContainerError", Message: err.Error()}
	if known, ok := errors.AsType[*startError](err); ok {
		waiting.Reason = known.reason
	}
	c.set(func(s *corev1.ContainerStatus) { s.State = corev1.ContainerState{Waiting: waiting} })
}

func (c *container) set(change func(*corev1.ContainerStatus)) {
	c.mu.Lock()
	change(&c.status)
	if *c.status.Started && !isClosed(c.started) {
		close(c.started)
	}
	c.mu.Unlock()
	c.worker.poke()
}

// current returns a copy of the status.
func (c *container) current() corev1.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.status.DeepCopy()
}

// terminationMessage is what a kubelet reads when a container has ended.
func (c *container) terminationMessage(id string) string {
	text, err := os.ReadFile(filepath.Join(c.dir(id), terminationLog))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-maxTerminationText):])
}

func (c *container) dir(id string) string { return filepath.Join(c.worker.dir, "containers", id) }

func newID() string {
	id := make([]byte, 32)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}
