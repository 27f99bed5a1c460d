// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// configMap returns the content, which is nil if the ConfigMap is missing and may be.
func (w *worker) configMap(ctx context.Context, name string, optional *bool) (map[string]string, error) {
	found, err := w.kubelet.client.CoreV1().ConfigMaps(w.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, unlessOptional(err, optional)
	}
	data := maps.Clone(found.Data)
	if data == nil {
		data = map[string]string{}
	}
	for key, content := range found.BinaryData {
		data[key] = string(content)
	}
	return data, nil
}

func (w *worker) secret(ctx context.Context, name string, optional *bool) (map[string]string, error) {
	found, err := w.kubelet.client.CoreV1().Secrets(w.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, unlessOptional(err, optional)
	}
	data := map[string]string{}
	for key, content := range found.Data {
		data[key] = string(content)
	}
	return data, nil
}

func unlessOptional(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}
