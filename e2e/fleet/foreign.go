// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

const (
	foreignTokenLifetime = 24 * time.Hour // longer than any run, since nobody renews it
	neverScheduled       = "fleet.shardctl.dev/runs-elsewhere"
)

// ForeignCluster is a cluster that was there before: somebody's kind cluster, say.
type ForeignCluster struct {
	kubeconfig string
	dir        string
	raw        *clientcmdapi.Config // its current context alone, with all files in it
	config     *rest.Config
	client     *kubernetes.Clientset
}

// Foreign returns the cluster of a kubeconfig's current context. The kubeconfigs of replicas go to dir, which has to exist.
func Foreign(kubeconfig, dir string) (*ForeignCluster, error) {
	c, err := loadForeign(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	c.dir = dir
	return c, nil
}

func loadForeign(kubeconfig string) (*ForeignCluster, error) {
	raw, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, err
	}
	if err := clientcmdapi.MinifyConfig(raw); err != nil {
		return nil, err
	}
	if err := clientcmdapi.FlattenConfig(raw); err != nil {
		return nil, err
	}
	config, err := clientcmd.NewDefaultClientConfig(*raw, nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // the API server's priority and fairness decides, not a guess made here
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &ForeignCluster{kubeconfig: kubeconfig, raw: raw, config: config, client: client}, nil
}

// Config returns a new configuration of a client with the permissions of the kubeconfig.
func (c *ForeignCluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// KubeconfigPath returns the path of the kubeconfig.
func (c *ForeignCluster) KubeconfigPath() string { return c.kubeconfig }

// NewReplica makes a Pod that is never scheduled, so that no kubelet runs it and nothing misses its Node, and a token bound to
// it. Its service account has to exist.
func (c *ForeignCluster) NewReplica(ctx context.Context, o controlplane.ReplicaOptions) (*controlplane.Replica, error) {
	pods, accounts := c.client.CoreV1().Pods(o.Namespace), c.client.CoreV1().ServiceAccounts(o.Namespace)
	pod, err := pods.Create(ctx, unscheduled(o), metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("make replica %s/%s: create Pod: %w", o.Namespace, o.Name, err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To(int64(cmp.Or(o.TokenLifetime, foreignTokenLifetime).Seconds())),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	answer, err := accounts.CreateToken(ctx, o.ServiceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("make replica %s/%s: request token: %w", o.Namespace, o.Name, err)
	}
	replica := &controlplane.Replica{
		Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Token: answer.Status.Token,
		Config:     rest.AnonymousClientConfig(c.config),
		Kubeconfig: filepath.Join(c.dir, pod.Name+".kubeconfig"),
	}
	replica.Config.BearerToken = replica.Token
	if err := clientcmd.WriteToFile(c.withToken(replica.Token), replica.Kubeconfig); err != nil {
		return nil, fmt.Errorf("make replica %s/%s: write kubeconfig: %w", o.Namespace, o.Name, err)
	}
	return replica, nil
}

// withToken is the kubeconfig with a token in the place of its user.
func (c *ForeignCluster) withToken(token string) clientcmdapi.Config {
	config := c.raw.DeepCopy()
	const user = "replica"
	config.AuthInfos = map[string]*clientcmdapi.AuthInfo{user: {Token: token}}
	config.Contexts[config.CurrentContext].AuthInfo = user
	return *config
}

func unscheduled(o controlplane.ReplicaOptions) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, Labels: o.Labels, Annotations: o.Annotations, OwnerReferences: o.OwnerReferences,
		},
		Spec: corev1.PodSpec{
			SchedulingGates:    []corev1.PodSchedulingGate{{Name: neverScheduled}},
			ServiceAccountName: o.ServiceAccount,
			Containers:         []corev1.Container{{Name: cmp.Or(o.Container, "controller"), Image: "never-pulled"}},
		},
	}
}
