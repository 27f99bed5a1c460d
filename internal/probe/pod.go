// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// listTimeout bounds one list. A watch is bounded by the API server.
const listTimeout = 10 * time.Second

// Pods lists and watches the Pods of one namespace; a typed client does.
type Pods interface {
	List(context.Context, metav1.ListOptions) (*corev1.PodList, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// OwnPod follows the Ready condition of the Pod that this process runs in, for all that ask.
// It sends nothing before somebody asks; from then on it has one watch of one object open,
// which tells of each change, a handful in the life of a Pod, and is opened anew, with one
// list of that object, every 5 to 10 minutes.
//
// What was seen last stands while the API server gives no answer: a replica that cannot
// reach it loses its session, and so all it holds, without any probe.
type OwnPod struct {
	pods Pods
	name string
	uid  types.UID

	asked chan struct{} // closed by the first who asks
	ask   sync.Once
	// listing is held while a list is under way, and for good once there is to be none
	// any more: the reflector leaves one behind, in a goroutine, when its context ends.
	listing sync.Mutex

	mu    sync.Mutex
	state error // nil if the Pod is ready, else why not, as far as the API server has said
	known bool  // it has said anything
	// trouble is what the last request met; nil if it met nothing.
	trouble error
}

// NewOwnPod makes one for the Pod of that name and UID.
func NewOwnPod(pods Pods, name string, uid types.UID) *OwnPod {
	return &OwnPod{pods: pods, name: name, uid: uid, asked: make(chan struct{})}
}

// errUnseen is told until the API server has answered.
var errUnseen = errors.New("nothing is known of it yet")

// Ready is a [Probe]. It waits for nothing.
func (p *OwnPod) Ready(context.Context) error {
	p.ask.Do(func() { close(p.asked) })
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.state
	switch {
	case p.known:
	case p.trouble != nil:
		err = p.trouble
	default:
		err = errUnseen
	}
	if err != nil {
		return fmt.Errorf("pod %s: %w", p.name, err)
	}
	return nil
}

// Run follows the Pod until ctx is done, once somebody has asked; then it returns nil.
func (p *OwnPod) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.asked:
	}
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: p.list, WatchFuncWithContext: p.watch,
	}, p.pods)
	informer := cache.NewSharedInformer(source, &corev1.Pod{}, 0)
	handler := cache.ResourceEventHandlerFuncs{AddFunc: p.see, UpdateFunc: func(_, now any) { p.see(now) }, DeleteFunc: p.gone}
	_, added := informer.AddEventHandlerWithOptions(handler, cache.HandlerOptions{})
	told := func(context.Context, *cache.Reflector, error) {} // by Ready
	if err := errors.Join(added, informer.SetTransform(conditionsOf), informer.SetWatchErrorHandlerWithContext(told)); err != nil {
		return fmt.Errorf("informer of Pod %s: %w", p.name, err)
	}
	informer.RunWithContext(klog.NewContext(ctx, logr.Discard()))
	p.listing.Lock()
	return nil
}

// only narrows a request to the one Pod.
func (p *OwnPod) only(o metav1.ListOptions) metav1.ListOptions {
	o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, p.name).String()
	return o
}

func (p *OwnPod) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	if !p.listing.TryLock() {
		return nil, context.Canceled
	}
	defer p.listing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list, err := p.pods.List(ctx, p.only(o))
	p.met("list", err)
	if err == nil && len(list.Items) == 0 {
		p.gone(nil)
	}
	return list, err
}

func (p *OwnPod) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	w, err := p.pods.Watch(ctx, p.only(o))
	p.met("watch", err)
	return w, err
}

// met notes how a request went.
func (p *OwnPod) met(verb string, err error) {
	switch {
	case err == nil:
	case apierrors.IsForbidden(err):
		err = fmt.Errorf("this replica may not read it: grant its service account list and watch on pods in its namespace (%s)", verb)
	default:
		err = fmt.Errorf("%s: %w", verb, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = err
}

// conditionsOf keeps of a Pod what is looked at.
func conditionsOf(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion},
		Status:     corev1.PodStatus{Conditions: pod.Status.Conditions},
	}, nil
}

func (p *OwnPod) see(obj any) {
	if pod, ok := obj.(*corev1.Pod); ok {
		p.is(readiness(pod, p.uid))
	}
}

func (p *OwnPod) gone(any) { p.is(errGone) }

func (p *OwnPod) is(state error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.known = state, true
}

var (
	errGone    = errors.New("there is none of that name")
	errAnother = errors.New("is not this replica's, but another of that name: check POD_NAME and POD_UID")
)

// readiness is nil if the Pod is ready, else what the kubelet says of why not.
func readiness(pod *corev1.Pod, uid types.UID) error {
	if pod.UID != uid {
		return errAnother
	}
	for _, c := range pod.Status.Conditions {
		switch {
		case c.Type != corev1.PodReady:
		case c.Status == corev1.ConditionTrue:
			return nil
		case c.Reason != "" && c.Message != "":
			return fmt.Errorf("is not ready: %s: %s", c.Reason, c.Message)
		case c.Reason != "":
			return fmt.Errorf("is not ready: %s", c.Reason)
		}
	}
	return errors.New("is not ready")
}
