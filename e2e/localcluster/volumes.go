// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// volumeFile is a file that a volume shows.
type volumeFile struct {
	content string
	mode    os.FileMode
}

// token is a service account token, and when to ask for the next one.
type token struct {
	value   string
	renewAt time.Time
}

// volumes are the volumes of a Pod: a directory each. The worker alone writes to them.
type volumes struct {
	dir    string
	tokens map[string]token // by the name of the volume and the path
}

func (v *volumes) path(name string) string { return filepath.Join(v.dir, name) }

// syncVolumes makes all volumes show what they should by now: the current content of ConfigMaps, tokens that are still valid
// for a while.
func (w *worker) syncVolumes(ctx context.Context) error {
	for _, volume := range w.pod.Spec.Volumes {
		if err := w.syncVolume(ctx, volume); err != nil {
			return fmt.Errorf("volume %q: %w", volume.Name, err)
		}
	}
	return nil
}

func (w *worker) syncVolume(ctx context.Context, volume corev1.Volume) error {
	dir := w.volumes.path(volume.Name)
	if volume.EmptyDir != nil {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		return os.Chmod(dir, 0o777) //nolint:gosec // whoever the container runs as may write there
	}
	files, err := w.volumeContent(ctx, volume)
	if err != nil {
		return err
	}
	return writeAtomically(dir, files)
}

func (w *worker) volumeContent(ctx context.Context, volume corev1.Volume) (map[string]volumeFile, error) {
	switch {
	case volume.ConfigMap != nil:
		source := volume.ConfigMap
		data, err := w.configMap(ctx, source.Name, source.Optional)
		return project(data, source.Items, source.DefaultMode, err)
	case volume.Secret != nil:
		source := volume.Secret
		data, err := w.secret(ctx, source.SecretName, source.Optional)
		return project(data, source.Items, source.DefaultMode, err)
	case volume.DownwardAPI != nil:
		return w.projectFields(volume.DownwardAPI.Items, volume.DownwardAPI.DefaultMode)
	case volume.Projected != nil:
		return w.projected(ctx, volume)
	}
	return nil, fmt.Errorf("a local cluster has no volumes of this kind: use configMap, secret, projected, downwardAPI or emptyDir")
}

func (w *worker) projected(ctx context.Context, volume corev1.Volume) (map[string]volumeFile, error) {
	all := map[string]volumeFile{}
	mode := volume.Projected.DefaultMode
	for _, source := range volume.Projected.Sources {
		var files map[string]volumeFile
		var err error
		switch {
		case source.ServiceAccountToken != nil:
			files, err = w.tokenFile(ctx, volume.Name, source.ServiceAccountToken, mode)
		case source.ConfigMap != nil:
			data, missing := w.configMap(ctx, source.ConfigMap.Name, source.ConfigMap.Optional)
			files, err = project(data, source.ConfigMap.Items, mode, missing)
		case source.Secret != nil:
			data, missing := w.secret(ctx, source.Secret.Name, source.Secret.Optional)
			files, err = project(data, source.Secret.Items, mode, missing)
		case source.DownwardAPI != nil:
			files, err = w.projectFields(source.DownwardAPI.Items, mode)
		default:
			err = fmt.Errorf("a local cluster does not know this projected source")
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(all, files)
	}
	return all, nil
}

// project returns the files of a ConfigMap or Secret: all keys, or those that are listed.
func project(data map[string]string, items []corev1.KeyToPath, mode *int32, err error) (map[string]volumeFile, error) {
	if err != nil {
		return nil, err
	}
	files := map[string]volumeFile{}
	if len(items) == 0 {
		for key, content := range data {
			files[key] = volumeFile{content, modeOf(nil, mode)}
		}
	}
	for _, item := range items {
		content, ok := data[item.Key]
		if !ok && data != nil {
			return nil, fmt.Errorf("references non-existent config key: %s", item.Key)
		}
		if ok {
			files[item.Path] = volumeFile{content, modeOf(item.Mode, mode)}
		}
	}
	return files, nil
}

func (w *worker) projectFields(items []corev1.DownwardAPIVolumeFile, mode *int32) (map[string]volumeFile, error) {
	files := map[string]volumeFile{}
	for _, item := range items {
		if item.FieldRef == nil {
			return nil, fmt.Errorf("downwardAPI: %s: a local cluster knows fieldRef only", item.Path)
		}
		value, err := w.field(item.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		files[item.Path] = volumeFile{value, modeOf(item.Mode, mode)}
	}
	return files, nil
}

func modeOf(modes ...*int32) os.FileMode {
	for _, mode := range modes {
		if mode != nil {
			return os.FileMode(*mode) & os.ModePerm //nolint:gosec // the API server has checked it
		}
	}
	return 0o644
}

// tokenFile asks for a token that is bound to the Pod, and for another one when a fifth of its life is left.
func (w *worker) tokenFile(
	ctx context.Context, volume string, source *corev1.ServiceAccountTokenProjection, mode *int32,
) (map[string]volumeFile, error) {
	key := volume + "/" + source.Path
	current, ok := w.volumes.tokens[key]
	if !ok || time.Now().After(current.renewAt) {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: source.ExpirationSeconds,
			BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: w.pod.Name, UID: w.pod.UID},
		}}
		if source.Audience != "" {
			request.Spec.Audiences = []string{source.Audience}
		}
		asked := time.Now()
		answer, err := w.kubelet.client.CoreV1().ServiceAccounts(w.pod.Namespace).
			CreateToken(ctx, w.pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("failed to fetch token: %w", err)
		}
		life := answer.Status.ExpirationTimestamp.Sub(asked)
		current = token{value: answer.Status.Token, renewAt: asked.Add(life * 4 / 5)}
		w.volumes.tokens[key] = current
	}
	return map[string]volumeFile{source.Path: {current.value, modeOf(mode)}}, nil
}

// uses tells whether what a ConfigMap or a Secret says is in one of the Pod's volumes.
func uses(pod *corev1.Pod, configMap, secret string) bool {
	for _, volume := range pod.Spec.Volumes {
		if volume.ConfigMap != nil && volume.ConfigMap.Name == configMap || volume.Secret != nil && volume.Secret.SecretName == secret {
			return true
		}
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ConfigMap != nil && source.ConfigMap.Name == configMap || source.Secret != nil && source.Secret.Name == secret {
				return true
			}
		}
	}
	return false
}

// mountsOf returns what a container gets of the Pod's volumes.
func (w *worker) mountsOf(container *corev1.Container, values map[string]string) ([]mount, error) {
	var mounts []mount
	for _, m := range container.VolumeMounts {
		subPath := m.SubPath
		if m.SubPathExpr != "" {
			subPath = expand(m.SubPathExpr, values)
		}
		source, err := within(w.volumes.path(m.Name), subPath)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, mount{source: source, target: m.MountPath, readOnly: m.ReadOnly})
	}
	return mounts, nil
}

// topLevel returns the first part of a relative path.
func topLevel(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}
