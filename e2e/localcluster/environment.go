// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is the environment of a container, in the order in which it was set.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) list() []string {
	var list []string
	for _, name := range e.names {
		list = append(list, name+"="+e.values[name])
	}
	return list
}

// environment computes what a container gets. Of services it learns the API server's only: the others would need one to route
// their addresses.
func (w *worker) environment(ctx context.Context, container *corev1.Container) (*environment, error) {
	e := &environment{values: map[string]string{}}
	e.set("PATH", defaultPath)
	e.set("HOSTNAME", w.pod.Name)
	e.set("KUBERNETES_SERVICE_HOST", controlplane.ServiceIP)
	e.set("KUBERNETES_SERVICE_PORT", apiServerPort)
	for _, from := range container.EnvFrom {
		if err := w.setAll(ctx, e, from); err != nil {
			return nil, err
		}
	}
	for _, variable := range container.Env {
		value := expand(variable.Value, e.values)
		if from := variable.ValueFrom; from != nil {
			var found bool
			var err error
			if value, found, err = w.valueFrom(ctx, from, container); err != nil {
				return nil, fmt.Errorf("env %s: %w", variable.Name, err)
			}
			if !found {
				continue
			}
		}
		e.set(variable.Name, value)
	}
	return e, nil
}

func (w *worker) setAll(ctx context.Context, e *environment, from corev1.EnvFromSource) error {
	var data map[string]string
	var err error
	switch {
	case from.ConfigMapRef != nil:
		data, err = w.configMap(ctx, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
	case from.SecretRef != nil:
		data, err = w.secret(ctx, from.SecretRef.Name, from.SecretRef.Optional)
	}
	for key, value := range data {
		e.set(from.Prefix+key, value)
	}
	return err
}

// valueFrom returns a value, and whether there is one, which may be missing where the reference is optional.
func (w *worker) valueFrom(ctx context.Context, from *corev1.EnvVarSource, container *corev1.Container) (string, bool, error) {
	switch {
	case from.FieldRef != nil:
		value, err := w.field(from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err := resourceField(from.ResourceFieldRef, container)
		return value, true, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		data, err := w.configMap(ctx, ref.Name, ref.Optional)
		return keyOf(data, ref.Key, ref.Optional, err)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		data, err := w.secret(ctx, ref.Name, ref.Optional)
		return keyOf(data, ref.Key, ref.Optional, err)
	}
	return "", false, fmt.Errorf("valueFrom: a local cluster does not know this source")
}

func keyOf(data map[string]string, key string, optional *bool, err error) (string, bool, error) {
	value, found := data[key]
	if err == nil && !found && (optional == nil || !*optional) {
		err = fmt.Errorf("there is no key %q", key)
	}
	return value, found, err
}

// field is what the downward API calls a field of the Pod.
func (w *worker) field(path string) (string, error) {
	pod := w.pod
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return w.network.ip().String(), nil
	case "status.hostIP", "status.hostIPs":
		return w.network.node.ip().String(), nil
	}
	if kind, rest, ok := strings.Cut(path, "['"); ok {
		key := strings.TrimSuffix(rest, "']")
		switch kind {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
	}
	return "", fmt.Errorf("fieldPath: a local cluster does not know %q", path)
}

// resourceField is a request or limit in units of the divisor, rounded up.
func resourceField(ref *corev1.ResourceFieldSelector, container *corev1.Container) (string, error) {
	kind, name, _ := strings.Cut(ref.Resource, ".")
	resources, ok := map[string]corev1.ResourceList{
		"limits": container.Resources.Limits, "requests": container.Resources.Requests,
	}[kind]
	if !ok {
		return "", fmt.Errorf("resource: a local cluster does not know %q", ref.Resource)
	}
	quantity, ok := resources[corev1.ResourceName(name)]
	if !ok && kind == "limits" {
		quantity = nodeCapacity()[corev1.ResourceName(name)]
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if divisor.Value() >= 1 && divisor.MilliValue()%1000 == 0 && name != string(corev1.ResourceCPU) {
		return strconv.FormatInt((quantity.Value()+divisor.Value()-1)/divisor.Value(), 10), nil
	}
	return strconv.FormatInt((quantity.MilliValue()+divisor.MilliValue()-1)/divisor.MilliValue(), 10), nil
}

// expand replaces $(NAME) by a variable's value, and leaves it where there is no such variable; $$ stands for one $
// (https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/).
func expand(text string, values map[string]string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, rest, closed := strings.Cut(strings.TrimPrefix(after, "("), ")")
		switch value, known := values[name]; {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			text = after[1:]
		case strings.HasPrefix(after, "(") && closed && known:
			out.WriteString(value)
			text = rest
		default:
			out.WriteByte('$')
			text = after
		}
	}
}
