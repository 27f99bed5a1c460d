// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

// TestControlPlane is one control plane with everything switched on, and what one may expect of it.
func TestControlPlane(t *testing.T) {
	cp := controlplane.Start(t, controlplane.Options{Audit: controlplane.AuditMetadata, KeepHistory: true})
	for _, test := range []struct {
		name string
		test func(*testing.T, *controlplane.ControlPlane)
	}{
		{"its version can be parsed", testVersion},
		{"its kubeconfig works", testKubeconfig},
		{"nobody is let in without credentials", testAnonymous},
		{"a user has the groups of the certificate", testUser},
		{"a replica's token carries its Pod", testReplica},
		{"a deleted Pod's token is refused", testDeletedReplica},
		{"a fresh service account may do nothing", testRBAC},
		{"dependents of a deleted owner are collected", testGarbageCollection},
		{"a deleted namespace goes away", testNamespaceDeletion},
		{"the audit log says who did what", testAudit},
		{"requests on Leases are counted, and are the tests' own", testLeaseRequests},
		{"etcd has the history", testEtcd},
		{"waiting for it to break ends with the context", testWait},
		{"the API server restarts at the same address", testRestartAPIServer},
		{"the API server is killed and comes back", testKillAPIServer},
		{"etcd restarts with its data", testRestartEtcd},
		{"etcd forgets its history", testCompact},
		{"nothing is between API server and etcd", testNoEtcdProxy},
	} {
		t.Run(test.name, func(t *testing.T) { test.test(t, cp) })
	}
}

func testVersion(t *testing.T, cp *controlplane.ControlPlane) {
	info, err := clientFor(t, cp.Config()).Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := version.ParseSemantic(info.GitVersion)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := "v"+parsed.String(), cp.Binaries().Kubernetes; got != want {
		t.Errorf("the version is %s, want %s", got, want)
	}
	if got, want := info.Major+"."+info.Minor, fmt.Sprintf("%d.%d", parsed.Major(), parsed.Minor()); got != want {
		t.Errorf("major and minor version are %s, want %s", got, want)
	}
}

func testKubeconfig(t *testing.T, cp *controlplane.ControlPlane) {
	config, err := clientcmd.BuildConfigFromFlags("", cp.KubeconfigPath())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientFor(t, config).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
}

func testAnonymous(t *testing.T, cp *controlplane.ControlPlane) {
	_, err := clientFor(t, rest.AnonymousClientConfig(cp.Config())).Discovery().ServerVersion()
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("asking for the version returned %v, want 401", err)
	}
}

func testUser(t *testing.T, cp *controlplane.ControlPlane) {
	config, err := cp.ConfigForUser("jane", "on-call", "operators")
	if err != nil {
		t.Fatal(err)
	}
	user := whoAmI(t, config)
	if got, want := strings.Join(user.Groups, " "), "on-call operators system:authenticated"; user.Username != "jane" || got != want {
		t.Errorf("the user is %s in %s, want jane in %s", user.Username, got, want)
	}
}

func testReplica(t *testing.T, cp *controlplane.ControlPlane) {
	namespace := newNamespace(t, cp)
	replica := newReplica(t, cp, controlplane.ReplicaOptions{Namespace: namespace, Name: "widgets-0", ServiceAccount: "widgets"})
	fromFile, err := clientcmd.BuildConfigFromFlags("", replica.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*rest.Config{"configuration": replica.Config, "kubeconfig": fromFile} {
		user := whoAmI(t, config)
		if want := "system:serviceaccount:" + namespace + ":widgets"; user.Username != want {
			t.Errorf("%s: the user is %s, want %s", name, user.Username, want)
		}
		for key, want := range map[string]string{
			"authentication.kubernetes.io/pod-name":  "widgets-0",
			"authentication.kubernetes.io/pod-uid":   string(replica.UID),
			"authentication.kubernetes.io/node-name": "node",
		} {
			if got := user.Extra[key]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: extra %s is %q, want %q", name, key, got, want)
			}
		}
	}
}

func testDeletedReplica(t *testing.T, cp *controlplane.ControlPlane) {
	namespace := newNamespace(t, cp)
	replica := newReplica(t, cp, controlplane.ReplicaOptions{Namespace: namespace, Name: "widgets-0", ServiceAccount: "widgets"})
	whoAmI(t, replica.Config)
	now := metav1.DeleteOptions{GracePeriodSeconds: new(int64)}
	if err := clientFor(t, cp.Config()).CoreV1().Pods(namespace).Delete(t.Context(), replica.Name, now); err != nil {
		t.Fatal(err)
	}
	client := clientFor(t, replica.Config)
	eventually(t, "the token is refused", func(ctx context.Context) (bool, error) {
		_, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return apierrors.IsUnauthorized(err), nil
	})
}

func testRBAC(t *testing.T, cp *controlplane.ControlPlane) {
	namespace := newNamespace(t, cp)
	replica := newReplica(t, cp, controlplane.ReplicaOptions{Namespace: namespace, Name: "widgets-0", ServiceAccount: "widgets"})
	_, err := clientFor(t, replica.Config).CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("listing ConfigMaps returned %v, want 403", err)
	}
}

func testGarbageCollection(t *testing.T, cp *controlplane.ControlPlane) {
	namespace := newNamespace(t, cp)
	maps := clientFor(t, cp.Config()).CoreV1().ConfigMaps(namespace)
	owner := createConfigMap(t, cp, namespace, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}})
	createConfigMap(t, cp, namespace, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name:            "dependent",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}},
	}})
	if err := maps.Delete(t.Context(), owner.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dependent is gone", func(ctx context.Context) (bool, error) {
		_, err := maps.Get(ctx, "dependent", metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}

func testNamespaceDeletion(t *testing.T, cp *controlplane.ControlPlane) {
	namespace := newNamespace(t, cp)
	createConfigMap(t, cp, namespace, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "content"}})
	namespaces := clientFor(t, cp.Config()).CoreV1().Namespaces()
	if err := namespaces.Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace is gone", func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}

func testAudit(t *testing.T, cp *controlplane.ControlPlane) {
	namespace := newNamespace(t, cp)
	replica := newReplica(t, cp, controlplane.ReplicaOptions{Namespace: namespace, Name: "widgets-0", ServiceAccount: "widgets"})
	_, err := clientFor(t, replica.Config).CoreV1().ConfigMaps(namespace).Get(t.Context(), "secret-plans", metav1.GetOptions{})
	if !apierrors.IsForbidden(err) {
		t.Fatalf("getting a ConfigMap returned %v, want 403", err)
	}
	file, err := os.Open(cp.AuditLogPath())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var event struct {
			Stage, Verb    string
			User           authenticationv1.UserInfo
			ObjectRef      struct{ Resource, Namespace, Name string }
			ResponseStatus struct{ Code int }
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		if event.Stage != "ResponseComplete" || event.Verb != "get" || event.ObjectRef.Namespace != namespace || event.ObjectRef.Name != "secret-plans" {
			continue
		}
		pod := event.User.Extra["authentication.kubernetes.io/pod-uid"]
		if event.ResponseStatus.Code != http.StatusForbidden || len(pod) != 1 || pod[0] != string(replica.UID) {
			t.Errorf("the request is logged as %s, want status 403 and the user extra of Pod %s", lines.Bytes(), replica.UID)
		}
		return
	}
	t.Error("the request is not in the audit log")
}

// testLeaseRequests shows too that nobody but a test sends requests on Leases.
func testLeaseRequests(t *testing.T, cp *controlplane.ControlPlane) {
	leases := clientFor(t, cp.Config()).CoordinationV1().Leases(newNamespace(t, cp))
	lease, err := leases.Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for duration := range int32(3) {
		lease.Spec.LeaseDurationSeconds = ptr.To(duration + 1)
		if lease, err = leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	metrics, err := cp.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for verb, want := range map[string]float64{"POST": 1, "PUT": 3, "PATCH": 0} {
		labels := map[string]string{"resource": "leases", "verb": verb}
		if got := metrics.Sum("apiserver_request_total", labels); got != want {
			t.Errorf("%v requests %s were counted, want %v", got, verb, want)
		}
	}
}

// testEtcd reads the first write there ever was, by the JSON form of etcd's API.
func testEtcd(t *testing.T, cp *controlplane.ControlPlane) {
	body := oldestKey(t, cp)
	var answer struct{ Kvs []struct{ Key []byte } }
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if len(answer.Kvs) != 1 || !bytes.HasPrefix(answer.Kvs[0].Key, []byte("/registry/")) {
		t.Errorf("etcd answered %s, want one key below /registry/", body)
	}
}

func testCompact(t *testing.T, cp *controlplane.ControlPlane) {
	if err := cp.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if body := oldestKey(t, cp); !bytes.Contains(body, []byte("required revision has been compacted")) {
		t.Errorf("etcd answered %s, want that the revision has been compacted", body)
	}
	createConfigMap(t, cp, newNamespace(t, cp), corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "new"}})
	if err := cp.Compact(t.Context()); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func testNoEtcdProxy(t *testing.T, cp *controlplane.ControlPlane) {
	if err := cp.CutFromEtcd(0, true); err == nil || cp.EtcdProxy(0) != nil || cp.SecondConfig() != nil {
		t.Errorf("something can be cut: %v", err)
	}
}

// oldestKey asks for what etcd had after its first write.
func oldestKey(t *testing.T, cp *controlplane.ControlPlane) []byte {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: cp.EtcdTLS()}
	defer transport.CloseIdleConnections()
	// The range of all keys: from the zero byte to the zero byte.
	query := `{"key": "AA==", "range_end": "AA==", "revision": 2, "limit": 1}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, cp.EtcdEndpoint()+"/v3/kv/range", strings.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func testWait(t *testing.T, cp *controlplane.ControlPlane) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := cp.Wait(ctx); err != nil {
		t.Errorf("Wait returned %v", err)
	}
}

func testRestartAPIServer(t *testing.T, cp *controlplane.ControlPlane) {
	testRestart(t, cp, "kube-apiserver", cp.RestartAPIServer)
}

func testKillAPIServer(t *testing.T, cp *controlplane.ControlPlane) {
	testRestart(t, cp, "kube-apiserver", cp.KillAPIServer)
}

func testRestartEtcd(t *testing.T, cp *controlplane.ControlPlane) {
	testRestart(t, cp, "etcd", cp.RestartEtcd)
}

// testRestart uses one client before and after, on one address.
func testRestart(t *testing.T, cp *controlplane.ControlPlane, server string, restart func(context.Context) error) {
	namespace := newNamespace(t, cp)
	client := clientFor(t, cp.Config())
	before := createConfigMap(t, cp, namespace, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}})
	watch, err := client.CoreV1().ConfigMaps(namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	pids := cp.PIDs()
	began := time.Now()
	if err := restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s was restarted in %v", server, time.Since(began).Round(10*time.Millisecond))
	for name, pid := range cp.PIDs() {
		if restarted := pids[name] != pid; restarted != (name == server) {
			t.Errorf("process of %s was %d, is %d", name, pids[name], pid)
		}
	}
	after, err := client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if after.UID != before.UID || after.ResourceVersion != before.ResourceVersion {
		t.Errorf("the object is %s at %s, want %s at %s", after.UID, after.ResourceVersion, before.UID, before.ResourceVersion)
	}
	createConfigMap(t, cp, namespace, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "new"}})
}

func TestControlPlaneWithoutControllers(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "it's here")
	cp := controlplane.Start(t, controlplane.Options{Dir: dir, NoControllerManager: true})
	if _, ok := cp.PIDs()["kube-controller-manager"]; ok {
		t.Error("a controller manager is running")
	}
	if cp.Dir() != dir {
		t.Errorf("the directory is %s, want %s", cp.Dir(), dir)
	}
	if _, err := os.Stat(cp.AuditLogPath()); !os.IsNotExist(err) {
		t.Errorf("an audit log was written without being asked for: %v", err)
	}
}

func clientFor(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func whoAmI(t *testing.T, config *rest.Config) authenticationv1.UserInfo {
	t.Helper()
	review, err := clientFor(t, config).AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo
}

func newNamespace(t *testing.T, cp *controlplane.ControlPlane) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	created, err := clientFor(t, cp.Config()).CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created.Name
}

func newReplica(t *testing.T, cp *controlplane.ControlPlane, options controlplane.ReplicaOptions) *controlplane.Replica {
	t.Helper()
	replica, err := cp.NewReplica(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return replica
}

func createConfigMap(t *testing.T, cp *controlplane.ControlPlane, namespace string, object corev1.ConfigMap) *corev1.ConfigMap {
	t.Helper()
	created, err := clientFor(t, cp.Config()).CoreV1().ConfigMaps(namespace).Create(t.Context(), &object, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// eventually waits up to 30 s for a condition.
func eventually(t *testing.T, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, condition); err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}
