// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

// ErrNotPermitted says that this process may not make the namespaces that stand in for nodes and containers.
var ErrNotPermitted = errors.New("a local cluster needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN) to make namespaces")

const (
	readyTimeout = 30 * time.Second
	readyPoll    = 100 * time.Millisecond
)

// Cluster is a running cluster. Its methods may be called from several goroutines.
type Cluster struct {
	options Options
	cp      *controlplane.ControlPlane
	client  *kubernetes.Clientset
	network *network
	nodes   map[string]*kubelet
	log     *os.File // of the stand-in kubelets

	life    context.Context // of the nodes
	stop    context.CancelFunc
	running errgroup.Group
	http    *http.Client
}

// New starts a cluster and returns when all of its nodes are ready: within some 10 s if no server has to be built. The context
// limits the start only. The caller has to call Close. Without the permissions that it takes the error is an ErrNotPermitted.
func New(ctx context.Context, options Options) (*Cluster, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := permitted(); err != nil {
		return nil, err
	}
	cp, err := controlplane.New(ctx, options.ControlPlane)
	if err != nil {
		return nil, err
	}
	c, err := onto(ctx, cp, options)
	if err != nil {
		return nil, errors.Join(err, cp.Stop())
	}
	return c, nil
}

// onto adds nodes to a control plane.
func onto(ctx context.Context, cp *controlplane.ControlPlane, options Options) (*Cluster, error) {
	c := &Cluster{options: options, cp: cp, nodes: map[string]*kubelet{}}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start local cluster: %w", err), c.closeNodes())
	}
	return c, nil
}

// permitted tries what containers and nodes are made with.
func permitted() error {
	err := onThread(func() error {
		return unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWPID)
	})
	if errors.Is(err, unix.EPERM) {
		return ErrNotPermitted
	}
	return err
}

// start leaves it to closeNodes to undo what it has done when it fails.
func (c *Cluster) start(ctx context.Context) (err error) {
	if c.log, err = os.OpenFile(filepath.Join(c.cp.LogDir(), "kubelets.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	logger := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(c.log)))
	c.life, c.stop = context.WithCancel(klog.NewContext(context.Background(), logger))
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return c.network.dial(ctx, network, address)
		},
		DisableKeepAlives: true,
	}}
	config := c.cp.Config()
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if err := c.permitNodes(ctx); err != nil {
		return err
	}
	if c.network, err = newNetwork(strings.TrimPrefix(config.Host, "https://")); err != nil {
		return err
	}
	dir := filepath.Join(c.cp.Dir(), "images")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	images, err := c.options.makeImages(ctx, dir)
	if err != nil {
		return err
	}
	for i := 1; i <= c.options.Nodes; i++ {
		if err := c.addNode(ctx, i, images); err != nil {
			return err
		}
	}
	return c.awaitNodes(ctx)
}

// permitNodes lets every node do what the API server's own rules say that a node may. In most clusters an authorizer of its own
// does so, which looks at what is on the node, too.
func (c *Cluster) permitNodes(ctx context.Context) error {
	_, err := c.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "localcluster:nodes"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: nodeRole},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: nodesGroup}},
	}, metav1.CreateOptions{})
	return err
}

func (c *Cluster) addNode(ctx context.Context, i int, images map[string]Image) error {
	network, err := c.network.addNode(i)
	if err != nil {
		return err
	}
	k := &kubelet{
		name:      fmt.Sprintf("node-%d", i),
		images:    images,
		network:   network,
		dir:       filepath.Join(c.cp.Dir(), "nodes", strconv.Itoa(i)),
		logs:      c.cp.LogDir(),
		heartbeat: heartbeat{interval: c.options.NodeGracePeriod / heartbeatsPerGrace, grace: c.options.NodeGracePeriod},
		version:   c.cp.Binaries().Kubernetes,
		workers:   map[types.UID]*worker{},
	}
	c.nodes[k.name] = k
	if err := errors.Join(k.connect(c.cp), k.listen(c.cp)); err != nil {
		return err
	}
	if err := k.register(ctx); err != nil {
		return fmt.Errorf("register %s: %w", k.name, err)
	}
	logger := klog.FromContext(c.life).WithValues("node", k.name)
	c.running.Go(func() error { return k.run(klog.NewContext(c.life, logger)) })
	return nil
}

// awaitNodes waits until Pods can be put onto all nodes.
func (c *Cluster) awaitNodes(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, readyPoll, readyTimeout, true, func(ctx context.Context) (bool, error) {
		nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, node := range nodes.Items {
			if len(node.Spec.Taints) > 0 {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("wait until the nodes are ready: %w", err)
	}
	return nil
}

// ControlPlane returns the cluster's control plane, which Close stops.
func (c *Cluster) ControlPlane() *controlplane.ControlPlane { return c.cp }

// Config returns a new configuration of a client that may do everything.
func (c *Cluster) Config() *rest.Config { return c.cp.Config() }

// KubeconfigPath returns the path of a kubeconfig file that goes with Config. It is removed by Close.
func (c *Cluster) KubeconfigPath() string { return c.cp.KubeconfigPath() }

// Wait returns nil when the context is done, or an error as soon as a server of the control plane has ended by itself.
func (c *Cluster) Wait(ctx context.Context) error { return c.cp.Wait(ctx) }

// Close kills all containers, removes the nodes and stops the control plane. It returns what could not be cleaned up. It must be
// called once.
func (c *Cluster) Close() error {
	if err := errors.Join(c.closeNodes(), c.cp.Stop()); err != nil {
		return fmt.Errorf("close local cluster: %w", err)
	}
	return nil
}

// closeNodes undoes start, however far that has come.
func (c *Cluster) closeNodes() error {
	var errs []error
	if c.stop != nil {
		c.stop()
		errs = append(errs, c.running.Wait())
	}
	for _, node := range c.nodes {
		if node.api.listener != nil {
			_ = node.api.listener.Close() // closed already, unless the node was never run
		}
		errs = append(errs, node.network.close())
	}
	if c.network != nil {
		errs = append(errs, c.network.close())
	}
	if c.log != nil {
		errs = append(errs, c.log.Close())
	}
	return errors.Join(errs...)
}
