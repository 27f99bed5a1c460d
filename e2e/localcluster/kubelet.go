// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

// nodesGroup is the group of all kubelets, and the name of its ClusterRole.
const nodesGroup, nodeRole = "system:nodes", "system:node"

// kubelet is the stand-in for the kubelet of one node. It reaches the API server through the node's network, so that it is cut
// off together with its Pods.
type kubelet struct {
	name      string
	images    map[string]Image
	network   *nodeNetwork
	dir, logs string
	heartbeat heartbeat
	version   string // of Kubernetes

	dialer *connrotation.Dialer
	client *kubernetes.Clientset
	api    nodeAPI

	running sync.WaitGroup // the workers
	mu      sync.Mutex     // guards what follows
	workers map[types.UID]*worker
}

// connect makes the client, which has the credentials of the node.
func (k *kubelet) connect(cp *controlplane.ControlPlane) error {
	config, err := cp.ConfigForUser(nodeRole+":"+k.name, nodesGroup)
	if err != nil {
		return err
	}
	k.dialer = connrotation.NewDialer(k.network.ns.dial)
	config.Host = "https://" + net.JoinHostPort(controlplane.ServiceIP, apiServerPort)
	config.Dial = k.dialer.DialContext
	config.UserAgent = "kubelet"
	k.client, err = kubernetes.NewForConfig(config)
	return err
}

// run works for the Pods of the node until ctx is done. Then it kills their containers and waits for their end.
func (k *kubelet) run(ctx context.Context) error {
	defer k.dialer.CloseAll()
	loops, ctx := errgroup.WithContext(ctx)
	loops.Go(func() error { return k.beat(ctx) })
	loops.Go(func() error { return k.api.serve(ctx) })
	for _, follow := range []func(context.Context) (cache.SharedInformer, error){k.followPods, k.followConfigMaps, k.followSecrets} {
		informer, err := follow(ctx)
		if err != nil {
			return errors.Join(fmt.Errorf("node %s: %w", k.name, err), loops.Wait())
		}
		loops.Go(func() error {
			informer.RunWithContext(ctx)
			return nil
		})
	}
	err := loops.Wait()
	k.running.Wait()
	return err
}

func (k *kubelet) followPods(ctx context.Context) (cache.SharedInformer, error) {
	own := fields.OneTermEqualSelector("spec.nodeName", k.name)
	return k.follow("pods", own, &corev1.Pod{}, cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.see(ctx, podOf(object)) },
		UpdateFunc: func(_, object any) { k.see(ctx, podOf(object)) },
		DeleteFunc: func(object any) { k.miss(podOf(object)) },
	})
}

func (k *kubelet) followConfigMaps(context.Context) (cache.SharedInformer, error) {
	return k.follow("configmaps", fields.Everything(), &corev1.ConfigMap{}, k.whenChanged(func(pod *corev1.Pod, name string) bool {
		return uses(pod, name, "")
	}))
}

func (k *kubelet) followSecrets(context.Context) (cache.SharedInformer, error) {
	return k.follow("secrets", fields.Everything(), &corev1.Secret{}, k.whenChanged(func(pod *corev1.Pod, name string) bool {
		return uses(pod, "", name)
	}))
}

func (k *kubelet) follow(
	resource string, selector fields.Selector, example runtime.Object, handler cache.ResourceEventHandler,
) (cache.SharedInformer, error) {
	source := cache.NewListWatchFromClient(k.client.CoreV1().RESTClient(), resource, metav1.NamespaceAll, selector)
	informer := cache.NewSharedInformer(source, example, 0)
	_, err := informer.AddEventHandler(handler)
	return informer, err
}

// whenChanged has the volumes brought up to date of those Pods that use an object.
func (k *kubelet) whenChanged(uses func(pod *corev1.Pod, name string) bool) cache.ResourceEventHandler {
	changed := func(object any) {
		meta, ok := object.(metav1.Object)
		if !ok {
			return // removed: Pods keep what they have
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, w := range k.workers {
			if w.pod.Namespace == meta.GetNamespace() && uses(w.pod, meta.GetName()) {
				offer(w.resync)
			}
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, object any) { changed(object) }}
}

// podOf returns the Pod of an event, which for one that was removed unseen is what was known of it last.
func podOf(object any) *corev1.Pod {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	pod, _ := object.(*corev1.Pod)
	return pod
}

// see takes on a Pod that is new, and tells the worker of any other what it is now.
func (k *kubelet) see(ctx context.Context, pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	w, ok := k.workers[pod.UID]
	if !ok {
		w = newWorker(ctx, k, pod)
		k.workers[pod.UID] = w
		klog.FromContext(ctx).Info("Pod is bound to the node", "pod", klog.KObj(pod))
		k.running.Go(func() { w.run(ctx) })
	}
	w.see(pod)
}

// miss is called once a Pod's object is gone, which is also when its worker is forgotten: not before, or the last event of a Pod
// would be taken for the first one of a new one. (The worker may still be ending the Pod, of one whose deletion was forced.)
func (k *kubelet) miss(pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.workers[pod.UID]; w != nil {
		w.leave()
		delete(k.workers, pod.UID)
	}
}

func (k *kubelet) worker(uid types.UID) *worker {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.workers[uid]
}
