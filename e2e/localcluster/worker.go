// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

const (
	retryAfter  = time.Second     // of what the API server or this machine would not do
	callTimeout = 5 * time.Second // for a request
	// tokenCheck is how often tokens are looked at. They live for 10 minutes at least.
	tokenCheck = time.Minute
	// minGrace is what every container gets, as from a kubelet.
	minGrace = 2 * time.Second
)

// worker does what a kubelet does for one Pod, from when it is bound to the node until its object has been deleted.
type worker struct {
	kubelet *kubelet
	pod     *corev1.Pod // as it was bound; of what may change later, only the deletion matters
	dir     string      // of its volumes and containers; removed in the end
	logs    string      // of its logs, which stay
	logger  klog.Logger
	began   metav1.Time // when the kubelet took note of the Pod

	network    *podNetwork
	volumes    volumes
	inits      []*container
	containers []*container

	// leaving is done once the Pod is to end: it is deleted, or the cluster is closed.
	leaving context.Context
	leave   context.CancelFunc

	changed chan struct{} // holds an item if the status may have changed
	resync  chan struct{} // holds an item if what volumes show may have changed

	mu        sync.Mutex // guards what follows
	lastSeen  *corev1.Pod
	prepared  bool
	objection string    // why it is not prepared
	leftAt    time.Time // zero until the Pod is deleted
	graceTime time.Duration

	// Of the goroutine that reports:
	conditions map[corev1.PodConditionType]corev1.PodCondition // as they were reported last
	reported   []byte                                          // the last report
}

func newWorker(ctx context.Context, k *kubelet, pod *corev1.Pod) *worker {
	w := &worker{
		kubelet: k, pod: pod, lastSeen: pod, began: metav1.Now(),
		dir:        filepath.Join(k.dir, "pods", string(pod.UID)),
		logs:       filepath.Join(k.logs, "pods", pod.Namespace+"_"+pod.Name+"_"+string(pod.UID)),
		logger:     klog.FromContext(ctx).WithValues("pod", klog.KObj(pod)),
		changed:    make(chan struct{}, 1),
		resync:     make(chan struct{}, 1),
		conditions: map[corev1.PodConditionType]corev1.PodCondition{},
	}
	w.volumes = volumes{dir: filepath.Join(w.dir, "volumes"), tokens: map[string]token{}}
	w.leaving, w.leave = context.WithCancel(ctx)
	w.inits, w.containers = w.newContainers(pod.Spec.InitContainers), w.newContainers(pod.Spec.Containers)
	w.graceTime = time.Duration(or(pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)) * time.Second
	return w
}

func (w *worker) newContainers(specs []corev1.Container) []*container {
	var containers []*container
	for i := range specs {
		containers = append(containers, newContainer(w, &specs[i]))
	}
	return containers
}

// see takes note of a newer version of the Pod.
func (w *worker) see(pod *corev1.Pod) {
	w.mu.Lock()
	w.lastSeen = pod
	if pod.DeletionTimestamp != nil {
		w.graceTime = time.Duration(or(pod.DeletionGracePeriodSeconds, 0)) * time.Second
		if w.leftAt.IsZero() {
			w.leftAt = time.Now()
		}
	}
	w.mu.Unlock()
	if pod.DeletionTimestamp != nil {
		w.leave()
	}
	w.poke() // somebody may have written what is not so
}

// grace is how long a container may take to end that is asked to now. Of a Pod that is deleted all share one time, of which
// sidecars get what is left.
func (w *worker) grace() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leftAt.IsZero() {
		return w.graceTime
	}
	return max(minGrace, w.graceTime-time.Since(w.leftAt))
}

// poke has the status reported, or what changed in it.
func (w *worker) poke() { offer(w.changed) }

func offer(items chan<- struct{}) {
	select {
	case items <- struct{}{}:
	default:
	}
}

// run runs the Pod and reports on it until its object is gone, or until ctx is done: then its containers are killed.
func (w *worker) run(ctx context.Context) {
	defer w.leave()
	var running sync.WaitGroup
	ended := make(chan struct{})
	running.Go(func() {
		defer close(ended)
		w.runContainers(ctx)
	})
	w.report(ctx, ended)
	running.Wait()
	if err := w.clean(); err != nil {
		w.logger.Error(err, "Pod left something behind")
	}
}

// runContainers runs all containers, each init container before the next one, and returns when all have ended.
func (w *worker) runContainers(ctx context.Context) {
	for err := w.prepare(); err != nil; err = w.prepare() {
		w.object(err)
		if !pause(w.leaving, retryAfter) {
			return
		}
	}
	w.object(nil)
	var volumes, sidecars, containers sync.WaitGroup
	volumes.Go(w.keepVolumes)
	// Sidecars end after the other containers, which may need them to the last.
	serving, stopServing := context.WithCancel(ctx)
	defer volumes.Wait()
	defer sidecars.Wait()
	defer stopServing()
	for _, c := range w.inits {
		if c.spec.RestartPolicy != nil {
			sidecars.Go(func() { c.run(ctx, serving) })
			if !c.awaitStarted(w.leaving) {
				return
			}
			continue
		}
		c.run(ctx, w.leaving)
		if ended := c.current().State.Terminated; ended == nil || ended.ExitCode != 0 {
			return
		}
	}
	for _, c := range w.containers {
		containers.Go(func() { c.run(ctx, w.leaving) })
	}
	containers.Wait()
}

// prepare makes what containers need. It may be called again after an error.
func (w *worker) prepare() error {
	ctx, cancel := context.WithTimeout(w.leaving, callTimeout)
	defer cancel()
	if err := os.MkdirAll(w.logs, 0o700); err != nil {
		return err
	}
	if w.network == nil {
		network, err := w.kubelet.network.addPod()
		if err != nil {
			return err
		}
		w.network = network
	}
	return w.syncVolumes(ctx)
}

// object notes why the Pod cannot be started, or that it can.
func (w *worker) object(err error) {
	w.mu.Lock()
	w.prepared, w.objection = err == nil, ""
	if err != nil {
		w.objection = err.Error()
	}
	w.mu.Unlock()
	w.poke()
}

// keepVolumes has the volumes show what changes. What it cannot learn it asks for again later: so does a kubelet.
func (w *worker) keepVolumes() {
	ticker := time.NewTicker(tokenCheck)
	defer ticker.Stop()
	for {
		select {
		case <-w.leaving.Done():
			return
		case <-w.resync:
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(w.leaving, callTimeout)
		err := w.syncVolumes(ctx)
		cancel()
		if err == nil || w.leaving.Err() != nil {
			continue
		}
		w.logger.Error(err, "volumes are not up to date")
		if pause(w.leaving, retryAfter) {
			offer(w.resync)
		}
	}
}

// report tells the API server each change, and in the end has it remove the Pod's object.
func (w *worker) report(ctx context.Context, ended <-chan struct{}) {
	for ctx.Err() == nil {
		over := isClosed(ended)
		err := w.sendStatus(ctx)
		switch {
		case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
			w.leave() // the object was removed, or it is another Pod's
			return
		case err != nil:
			w.logger.Error(err, "report of the Pod's status")
			pause(ctx, retryAfter)
			continue
		case over && w.leaving.Err() != nil:
			w.remove(ctx)
			return
		case over:
			<-w.leaving.Done() // nothing more happens to it but its deletion, or the end of everything
			continue
		}
		select {
		case <-ctx.Done():
		case <-ended:
		case <-w.changed:
		}
	}
}

// remove deletes the object of a Pod all of whose containers have ended.
func (w *worker) remove(ctx context.Context) {
	options := metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(w.pod.UID))}
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		err := w.kubelet.client.CoreV1().Pods(w.pod.Namespace).Delete(call, w.pod.Name, options)
		cancel()
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		w.logger.Error(err, "deletion of the Pod")
		if !pause(ctx, retryAfter) {
			return
		}
	}
}

// clean removes all but the logs.
func (w *worker) clean() error {
	var err error
	if w.network != nil {
		err = w.network.close()
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}

// kill sends SIGKILL to the main process of a container.
func (w *worker) kill(name string) error {
	for _, c := range w.containers {
		if c.spec.Name == name {
			return c.kill()
		}
	}
	return fmt.Errorf("there is no container %q", name)
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
