// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"
)

// The Prometheus operator's Go module has its CRDs beside the code. It is no requirement of this module, since nothing of it is
// compiled: so its checksum stands here.
const (
	operatorModule = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	operatorSum    = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
)

// installOperatorCRDs makes the API server know those kinds of the Prometheus operator that manifests/ has, by their real
// schema.
func installOperatorCRDs(t *testing.T, a *applier) {
	t.Helper()
	dir := filepath.Join(downloadOperator(t), "example", "prometheus-operator-crd")
	for _, plural := range []string{"podmonitors", "prometheusrules", "servicemonitors"} {
		text, err := os.ReadFile(filepath.Join(dir, "monitoring.coreos.com_"+plural+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(text, &crd.Object); err != nil {
			t.Fatalf("%s: %v", plural, err)
		}
		a.applyAll(t, []*unstructured.Unstructured{crd})
		awaitKind(t, a, crd)
	}
}

func downloadOperator(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", operatorModule)
	cmd.Dir = t.TempDir() // in no module: nothing is added to a go.sum
	cmd.Env = append(os.Environ(), "GOWORK=off")
	output, err := cmd.Output()
	var module struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(output, &module); err != nil || jsonErr != nil {
		t.Fatalf("go mod download %s: %v, %v: %s", operatorModule, err, jsonErr, module.Error)
	}
	if module.Sum != operatorSum {
		t.Fatalf("the checksum of %s is %s, want %s", operatorModule, module.Sum, operatorSum)
	}
	return module.Dir
}

// awaitKind waits until the API server serves a CRD.
func awaitKind(t *testing.T, a *applier, crd *unstructured.Unstructured) {
	t.Helper()
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	await(t, 30*time.Second, "kind "+kind+" to be served", func() error {
		a.mapper.Reset()
		_, err := a.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind})
		return err
	})
}

// await polls until try returns nil.
func await(t *testing.T, limit time.Duration, what string, try func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, limit, true, func(context.Context) (bool, error) {
		last = try()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("waited %v for %s: %v", limit, what, errors.Join(err, last))
	}
}
