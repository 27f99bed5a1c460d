// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

// Defaults of ReplicaOptions. A token lives longer than any run, since nobody renews it.
const (
	defaultNode          = "node"
	defaultContainer     = "controller"
	defaultTokenLifetime = 24 * time.Hour
	minTokenLifetime     = 10 * time.Minute // the API server's own limit
)

// ReplicaOptions describe the Pod that a process outside the cluster pretends to be. Namespace, Name and ServiceAccount are
// required.
type ReplicaOptions struct {
	Namespace       string // has to exist
	Name            string // of the Pod
	ServiceAccount  string // created if need be; it may do what RBAC grants it
	Node            string // created if need be; default "node"
	Container       string // default "controller"; it is never run
	Labels          map[string]string
	Annotations     map[string]string
	OwnerReferences []metav1.OwnerReference // the garbage collector deletes a Pod whose owners do not exist
	TokenLifetime   time.Duration           // default 24 h, at least 10 min
}

// Replica is a Pod, and the means to act as it: its token is bound to it, so that the API server gives every request the user
// extras authentication.kubernetes.io/pod-name and pod-uid. Within 10 s of the Pod's deletion it refuses the token.
type Replica struct {
	Namespace  string
	Name       string // of the Pod
	UID        types.UID
	Token      string
	Config     *rest.Config // with the token, without a client-side request limit
	Kubeconfig string       // the path of a file with the same; removed by Stop
}

// NewReplica creates a Pod, on a Node that is there only as an object, and a token bound to it. A Pod of that name must not
// exist.
func (c *ControlPlane) NewReplica(ctx context.Context, options ReplicaOptions) (*Replica, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Replica, error) {
		return nil, fmt.Errorf("make replica %s/%s: %w", options.Namespace, options.Name, err)
	}
	if err := c.ensureNode(ctx, options.Node); err != nil {
		return fail(err)
	}
	if err := c.ensureServiceAccount(ctx, options.Namespace, options.ServiceAccount); err != nil {
		return fail(err)
	}
	pod, err := c.client.CoreV1().Pods(options.Namespace).Create(ctx, options.pod(), metav1.CreateOptions{})
	if err != nil {
		return fail(fmt.Errorf("create Pod: %w", err))
	}
	token, err := c.requestToken(ctx, pod, options)
	if err != nil {
		return fail(err)
	}
	replica := &Replica{
		Namespace:  pod.Namespace,
		Name:       pod.Name,
		UID:        pod.UID,
		Token:      token,
		Config:     c.ConfigForToken(token),
		Kubeconfig: c.files.kubeconfig("pod-" + string(pod.UID)),
	}
	if err := c.WriteKubeconfig(replica.Kubeconfig, replica.Config); err != nil {
		return fail(err)
	}
	return replica, nil
}

func (o ReplicaOptions) withDefaults() (ReplicaOptions, error) {
	var errs []error
	for _, field := range []struct{ name, value string }{
		{"namespace", o.Namespace}, {"name", o.Name}, {"serviceAccount", o.ServiceAccount},
	} {
		if field.value == "" {
			errs = append(errs, fmt.Errorf("%s: is missing", field.name))
		}
	}
	if o.TokenLifetime != 0 && o.TokenLifetime < minTokenLifetime {
		errs = append(errs, fmt.Errorf("tokenLifetime: %v is too short: use %v or more", o.TokenLifetime, minTokenLifetime))
	}
	if len(errs) > 0 {
		return o, fmt.Errorf("replica options: %w", errors.Join(errs...))
	}
	if o.Node == "" {
		o.Node = defaultNode
	}
	if o.Container == "" {
		o.Container = defaultContainer
	}
	if o.TokenLifetime == 0 {
		o.TokenLifetime = defaultTokenLifetime
	}
	return o, nil
}

// pod names its node, since there is no scheduler, and mounts no token, since there is no kubelet.
func (o ReplicaOptions) pod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            o.Name,
			Labels:          o.Labels,
			Annotations:     o.Annotations,
			OwnerReferences: o.OwnerReferences,
		},
		Spec: corev1.PodSpec{
			NodeName:                     o.Node,
			ServiceAccountName:           o.ServiceAccount,
			AutomountServiceAccountToken: ptr.To(false),
			Containers:                   []corev1.Container{{Name: o.Container, Image: "never-pulled"}},
		},
	}
}

func (c *ControlPlane) ensureNode(ctx context.Context, name string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := c.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Node %s: %w", name, err)
	}
	return nil
}

func (c *ControlPlane) ensureServiceAccount(ctx context.Context, namespace, name string) error {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := c.client.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create ServiceAccount %s: %w", name, err)
	}
	return nil
}

func (c *ControlPlane) requestToken(ctx context.Context, pod *corev1.Pod, options ReplicaOptions) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To(int64(options.TokenLifetime.Seconds())),
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
		},
	}}
	answer, err := c.client.CoreV1().ServiceAccounts(pod.Namespace).
		CreateToken(ctx, options.ServiceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request token: %w", err)
	}
	return answer.Status.Token, nil
}
