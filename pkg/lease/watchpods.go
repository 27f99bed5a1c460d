// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/lru"
)

// PodReader lists and watches the Pods of one namespace; a typed client does.
type PodReader interface {
	List(context.Context, metav1.ListOptions) (*corev1.PodList, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// NewPodReader makes a reader of the Pods of a namespace. Its connections are
// not those of the [Client], and it waits for no rate limiter.
func NewPodReader(cfg *rest.Config, namespace string) (PodReader, error) {
	own := rest.CopyConfig(cfg)
	own.QPS = -1
	own.RateLimiter = nil
	own.Timeout = 0 // it would end the watch
	own.ContentType = runtime.ContentTypeProtobuf
	own.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	c, err := coreclient.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("client for Pods: %w", err)
	}
	return c.Pods(namespace), nil
}

const (
	// maxDeaths bounds the deaths remembered as told. One that is forgotten is
	// told again with the next change of its Pod, and changes nothing.
	maxDeaths = maxEnded
	// podListTimeout bounds one list. A watch is bounded by the API server.
	podListTimeout = time.Minute
	// minPodPause and maxPodPause space the requests while the API server gives
	// no answer, give or take half. The longest is what a death in an outage may
	// be known late; it is far below the LeaseDuration of all presets but one.
	minPodPause = 200 * time.Millisecond
	maxPodPause = 5 * time.Second
	// refusedPause spaces requests that the API server refuses for want of a
	// permission: somebody may grant it while the replica runs.
	refusedPause = 3 * time.Minute
)

// podWatch tells of the deaths that the Pods of the group's namespace show. It
// keeps no Pod: whatever state it is shown, the last one of a deleted Pod
// included, it looks at once for what that proves. So a Pod that vanishes while the
// watch is down proves nothing, since its last state has been looked at before.
//
// It is a help, not a need: without it, for want of a permission or of an
// answer, the election goes on and waits for sessions to expire.
type podWatch struct {
	pods  PodReader
	group string // as in the termination messages
	tell  func(done <-chan struct{}, died Event)
	told  *lru.Cache // by Replica

	log     klog.Logger
	refused bool // the log says that a permission is missing

	// listing is full while a list is under way, of which there is one at a time,
	// and once there is to be none any more: the reflector leaves one behind, in a
	// goroutine, when its context ends.
	listing chan struct{}
}

func newPodWatch(pods PodReader, cfg *Config, tell func(<-chan struct{}, Event)) *podWatch {
	return &podWatch{
		pods: pods, group: cfg.messageGroup(), tell: tell,
		told: lru.New(maxDeaths), listing: make(chan struct{}, 1),
	}
}

// podLoop watches until ctx is done, and leaves nothing behind. What client-go
// logs of its own accord, such as every failed attempt, is dropped: what matters
// is said here.
func (w *podWatch) podLoop(ctx context.Context) error {
	w.log = klog.FromContext(ctx)
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc:  w.list,
		WatchFuncWithContext: w.watch,
	}, w.pods)
	sink := &podSink{group: w.group, see: func(d death) { w.learn(ctx, d) }}
	reflector := cache.NewReflectorWithOptions(source, &corev1.Pod{}, sink, cache.ReflectorOptions{Name: "known deaths"})
	reflector.RunWithContext(klog.NewContext(ctx, logr.Discard()))
	w.listing <- struct{}{}
	return nil
}

// learn tells of a death, once.
func (w *podWatch) learn(ctx context.Context, d death) {
	if _, told := w.told.Get(d.Replica); told {
		return
	}
	w.told.Add(d.Replica, nil)
	w.log.Info("A replica is known to have ended: the kubelet reports its container terminated",
		"pod", d.Pod, "uid", d.UID, "container", d.Container, "boot", d.Boot, "reason", d.reason, "exitCode", d.exitCode)
	w.tell(ctx.Done(), Died{Replica: d.Replica})
}

func (w *podWatch) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	select {
	case w.listing <- struct{}{}:
	default:
		return nil, context.Canceled
	}
	defer func() { <-w.listing }()
	return persist(ctx, w, func() (runtime.Object, error) {
		bounded, cancel := context.WithTimeout(ctx, podListTimeout)
		defer cancel()
		return w.pods.List(bounded, opts)
	})
}

func (w *podWatch) watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	return persist(ctx, w, func() (watch.Interface, error) { return w.pods.Watch(ctx, opts) })
}

// persist repeats a request until there is an answer that says something about
// it. The reflector would do so too, but it waits for up to a minute after an
// outage, in part without regard to its context: so it must not be shown an error
// of that kind, not even when the context has ended.
func persist[T any](ctx context.Context, w *podWatch, request func() (T, error)) (answer T, err error) {
	pause := minPodPause
	for {
		answer, err = request()
		wait := pause
		switch {
		case err == nil:
			w.permitted()
			return answer, nil
		case ctx.Err() != nil:
			return answer, context.Cause(ctx)
		case apierrors.IsForbidden(err):
			w.forbidden(err)
			wait = refusedPause
		case unanswered(err):
			w.log.V(3).Info("Pods cannot be read", "err", err, "pause", pause)
			pause = min(2*pause, maxPodPause)
		default:
			w.log.V(2).Info("Reading Pods failed", "err", err)
			return answer, err
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return answer, context.Cause(ctx)
		}
	}
}

// unanswered tells an error that says nothing about the request: there was no
// answer, or one that asks to come again.
func unanswered(err error) bool {
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		return true
	}
	return apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsInternalError(err) || apierrors.IsUnauthorized(err)
}

// forbidden says once what is missing.
func (w *podWatch) forbidden(err error) {
	if w.refused {
		return
	}
	w.refused = true
	w.log.Info("Known deaths are not used: this replica may not list and watch Pods, so the shards of one that crashes stay with it for its LeaseDuration. "+
		"Grant the service account list and watch on pods in the group's namespace, or switch the Pod watch off", "reason", err.Error())
}

func (w *podWatch) permitted() {
	if w.refused {
		w.refused = false
		w.log.Info("Known deaths are used from now on: this replica may read Pods")
	}
}

// podSink is what the reflector takes for a store of Pods. It passes on what
// they prove, and keeps nothing.
type podSink struct {
	group string
	see   func(death)
}

// evidence is all that is kept of a Pod until a list that is streamed is
// complete: its name and what it proves.
type evidence struct {
	metav1.ObjectMeta
	deaths []death
}

func (s *podSink) examine(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	return &evidence{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, ResourceVersion: pod.ResourceVersion},
		deaths:     deathsIn(pod, s.group),
	}, nil
}

// Transformer makes the reflector keep evidence in place of Pods.
func (s *podSink) Transformer() cache.TransformFunc { return s.examine }

func (s *podSink) take(obj any) error {
	examined, err := s.examine(obj)
	if err != nil {
		return err
	}
	if e, ok := examined.(*evidence); ok {
		for _, d := range e.deaths {
			s.see(d)
		}
	}
	return nil
}

// Add is part of [cache.ReflectorStore].
func (s *podSink) Add(obj any) error { return s.take(obj) }

// Update is part of [cache.ReflectorStore].
func (s *podSink) Update(obj any) error { return s.take(obj) }

// Delete is part of [cache.ReflectorStore]. The object is the Pod as it was at last.
func (s *podSink) Delete(obj any) error { return s.take(obj) }

// Replace is part of [cache.ReflectorStore].
func (s *podSink) Replace(objs []any, _ string) error {
	for _, obj := range objs {
		if err := s.take(obj); err != nil {
			return err
		}
	}
	return nil
}

// Resync is part of [cache.ReflectorStore]. It is never called: there is no period.
func (s *podSink) Resync() error { return nil }
