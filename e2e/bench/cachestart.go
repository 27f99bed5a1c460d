// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	kncontroller "knative.dev/pkg/controller"
	"knative.dev/pkg/leaderelection"
	"knative.dev/pkg/logging"
	knreconciler "knative.dev/pkg/reconciler"
	"knative.dev/pkg/system"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlreconcile "sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/shardctl/shardctl/pkg/shard"
)

// startWorkers are those of each controller, of all contenders.
const startWorkers = 4

// starter is a program with a controller for each shape, whose reconciles do nothing but note the first of each. It elects, as
// one that runs beside others does.
type starter struct {
	group, namespace string
	config           *rest.Config
	notes            *notes
	first            map[string]*sync.Once // by the name of the shape
}

// runStart is the program, until it is told to end.
func runStart(ctx context.Context, args []string) error {
	s := &starter{namespace: os.Getenv("POD_NAMESPACE"), first: map[string]*sync.Once{}}
	flags := pflag.NewFlagSet("start", pflag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	who := flags.String("who", string(session), "whose controllers")
	events := flags.String("events", "", "the file to note the first reconciles in")
	flags.StringVar(&s.group, "group", "", "the name of the group")
	err := flags.Parse(args)
	if err != nil {
		return err
	}
	run, ok := starters()[contender(*who)]
	if !ok {
		return fmt.Errorf("--who: %q has no controllers", *who)
	}
	if s.config, err = clientcmd.BuildConfigFromFlags("", *kubeconfig); err != nil {
		return err
	}
	s.config.QPS = -1
	if s.notes, err = openNotes(*events); err != nil {
		return err
	}
	for _, of := range shapes() {
		s.first[of.name] = &sync.Once{}
	}
	return run(s, ctx)
}

// starters are the programs, by whose they are.
func starters() map[contender]func(*starter, context.Context) error {
	return map[contender]func(*starter, context.Context) error{
		session:           (*starter).runGroup,
		knative:           (*starter).runKnative,
		controllerRuntime: func(s *starter, ctx context.Context) error { return s.runManager(ctx, typedObject) },
		ctrlUnstructured:  func(s *starter, ctx context.Context) error { return s.runManager(ctx, unstructuredObject) },
	}
}

// reconcile is what every controller does with each of its objects.
func (s *starter) reconcile(of shape) {
	s.first[of.name].Do(func() { s.notes.note(started, of.name) })
}

func (s *starter) runGroup(ctx context.Context) error {
	group, err := shard.NewGroup(s.config, shard.GroupOptions{Name: s.group, Namespace: s.namespace})
	if err != nil {
		return err
	}
	for _, of := range shapes() {
		err := group.Add(shard.Controller{
			Resource: of.resource, Workers: startWorkers,
			Reconcile: func(context.Context, shard.Key) (shard.Result, error) {
				s.reconcile(of)
				return shard.Result{}, nil
			},
		})
		if err != nil {
			return err
		}
	}
	return group.Run(ctx)
}

// runManager has one Lease, and objects in its cache that are typed or not.
func (s *starter) runManager(ctx context.Context, example func(shape) (client.Object, error)) error {
	ctrl.SetLogger(klog.Background())
	manager, err := ctrl.NewManager(s.config, ctrl.Options{
		LeaderElection:                true,
		LeaderElectionID:              s.group,
		LeaderElectionNamespace:       s.namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 ptr.To(electorLeaseDuration),
		RenewDeadline:                 ptr.To(electorRenewDeadline),
		RetryPeriod:                   ptr.To(electorRetryPeriod),
		Metrics:                       metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	for _, of := range shapes() {
		object, err := example(of)
		if err != nil {
			return err
		}
		err = ctrl.NewControllerManagedBy(manager).For(object).WithOptions(ctrlcontroller.Options{MaxConcurrentReconciles: startWorkers}).
			Complete(ctrlreconcile.Func(func(context.Context, ctrlreconcile.Request) (ctrlreconcile.Result, error) {
				s.reconcile(of)
				return ctrlreconcile.Result{}, nil
			}))
		if err != nil {
			return err
		}
	}
	return manager.Start(ctx)
}

// runKnative does as sharedmain does, with informers that ask for protocol buffers: the controllers, each with a Lease, begin when
// all caches have synced.
func (s *starter) runKnative(ctx context.Context) error {
	if err := os.Setenv(system.NamespaceEnvKey, s.namespace); err != nil { // of the Leases; there is no other way to say it
		return err
	}
	cfg := rest.CopyConfig(s.config)
	cfg.ContentType = runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	timings := leaderelection.Config{
		Buckets: 1, LeaseDuration: electorLeaseDuration, RenewDeadline: electorRenewDeadline, RetryPeriod: electorRetryPeriod,
	}
	ctx = logging.WithLogger(ctx, zap.NewNop().Sugar())
	ctx = leaderelection.WithDynamicLeaderElectorBuilder(ctx, client, timings.GetComponentConfig(s.group))
	factory := clientinformers.NewSharedInformerFactory(client, 0)
	var impls []*kncontroller.Impl
	for _, of := range shapes() {
		informer, err := factory.ForResource(of.resource)
		if err != nil {
			return err
		}
		impl, err := s.knativeController(ctx, of, informer.Informer())
		if err != nil {
			return err
		}
		impls = append(impls, impl)
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	if err := factory.WaitForCacheSyncWithContext(ctx).AsError(); err != nil {
		return err
	}
	return kncontroller.StartAll(ctx, impls...)
}

// knativeController is one that, as generated ones do, enqueues everything when it is promoted, and asks before each reconcile
// whether it is the leader.
func (s *starter) knativeController(ctx context.Context, of shape, informer toolscache.SharedIndexInformer) (*kncontroller.Impl, error) {
	aware := &knativeStarter{starter: s, of: of}
	aware.PromoteFunc = func(bucket knreconciler.Bucket, enqueue func(knreconciler.Bucket, types.NamespacedName)) error {
		for _, key := range informer.GetStore().ListKeys() {
			namespace, name, err := toolscache.SplitMetaNamespaceKey(key)
			if err != nil {
				return err
			}
			enqueue(bucket, types.NamespacedName{Namespace: namespace, Name: name})
		}
		return nil
	}
	impl := kncontroller.NewContext(ctx, aware, kncontroller.ControllerOptions{
		WorkQueueName: of.name, Logger: zap.NewNop().Sugar(), Concurrency: startWorkers,
	})
	_, err := informer.AddEventHandler(kncontroller.HandleAll(impl.Enqueue))
	return impl, err
}

type knativeStarter struct {
	knreconciler.LeaderAwareFuncs
	starter *starter
	of      shape
}

// Reconcile skips what another leads.
func (k *knativeStarter) Reconcile(_ context.Context, key string) error {
	namespace, name, err := toolscache.SplitMetaNamespaceKey(key)
	if err != nil {
		return kncontroller.NewPermanentError(err)
	}
	if !k.IsLeaderFor(types.NamespacedName{Namespace: namespace, Name: name}) {
		return kncontroller.NewSkipKey(key)
	}
	k.starter.reconcile(k.of)
	return nil
}
