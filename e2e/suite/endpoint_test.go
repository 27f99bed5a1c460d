// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// servingHTTP is a configuration with these fields of spec.http besides the address.
func (c *cluster) servingHTTP(t *testing.T, http map[string]any, roles ...role) []byte {
	t.Helper()
	var file map[string]any
	if err := yaml.Unmarshal(c.configuration(t, roles...), &file); err != nil {
		t.Fatal(err)
	}
	http["address"] = "127.0.0.1:0"
	file["spec"].(map[string]any)["http"] = http
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Metrics, dashboard and profiles are for those alone whom RBAC lets, with the tokens that they have anyway; probes are for
// everybody.
func TestEndpointLetsThoseInWhomRBACLets(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	types := c.createTypes(t, "widgets")
	hook := serveHook(t, answerWith(reflectSpec))
	certificate := newCertificate(t)
	config := c.servingHTTP(t, map[string]any{
		"tls":           map[string]any{"certFile": certificate.certFile, "keyFile": certificate.keyFile},
		"authorization": map[string]any{},
	}, rolesFor(webhook(hook, hookTimeout), types...)...)
	d := &deployment{cluster: c, Fleet: fleet.Start(t, fleet.Options{
		Cluster: controlPlane, Binary: binary, Config: config, LayoutRecord: true, Env: []string{"GORACE=" + os.Getenv("GORACE")},
	})}
	d.launchWith(t, "a", "--pprof")
	d.await(t, "the replica to hold the shard", holds("a", 1))
	address, err := d.Replica("a").HTTPAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nobody, prometheus, viewer := "", c.account(t, "prometheus", "/metrics"), c.account(t, "viewer", "/", "/events", "/assets/*", "/debug/pprof/*")
	powerless := c.account(t, "powerless")

	for _, tc := range []struct {
		path, token string
		code        int
	}{
		{"/livez", nobody, 200},
		{"/livez?verbose", nobody, 200},
		{"/readyz", nobody, 200},
		{"/readyz/caches", "no-token", 200},
		{"/metrics", nobody, 401},
		{"/metrics", "no-token", 401},
		{"/metrics", powerless, 403},
		{"/metrics", viewer, 403},
		{"/metrics", prometheus, 200},
		{"/", nobody, 401},
		{"/", prometheus, 403},
		{"/", viewer, 200},
		{"/events", prometheus, 403},
		{"/events", viewer, 200},
		{"/debug/pprof/heap", nobody, 401},
		{"/debug/pprof/heap", prometheus, 403},
		{"/debug/pprof/heap", viewer, 200},
	} {
		if code, text := certificate.get(t, "https://"+address+tc.path, tc.token); code != tc.code {
			t.Errorf("%s: %d %q, want %d", tc.path, code, text, tc.code)
		}
	}
	if _, text := certificate.get(t, "https://"+address+"/metrics", prometheus); !strings.Contains(text, "shardctl_shard_held{") {
		t.Errorf("/metrics does not tell which shards are held: %.200q", text)
	}
	d.terminate(t, d.Replica("a"))
	done := d.requests(t)
	if !done.allowed["create tokenreviews"] || !done.allowed["create subjectaccessreviews"] || len(done.refused) > 0 {
		t.Errorf("the replica has asked %v, and was refused %v", done.allowed, done.refused)
	}
}

// account makes a service account that may get the paths, and returns a token of it.
func (c *cluster) account(t *testing.T, name string, paths ...string) (token string) {
	t.Helper()
	accounts := c.kube.CoreV1().ServiceAccounts(c.namespace)
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Name: c.namespace + ":" + name}
	if len(paths) > 0 {
		role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{NonResourceURLs: paths, Verbs: []string{"get"}}}}
		if _, err := c.kube.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: c.namespace, Name: name}},
		}
		if _, err := c.kube.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	request, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// certificate is one for this machine, signed by itself.
type certificate struct {
	certFile, keyFile string
	client            *http.Client
}

func newCertificate(t *testing.T) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	roots.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	c := &certificate{
		certFile: filepath.Join(t.TempDir(), "tls.crt"), keyFile: filepath.Join(t.TempDir(), "tls.key"),
		client: &http.Client{Transport: transport},
	}
	for path, content := range map[string][]byte{c.certFile: text, c.keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// get returns the answer's code, and its text; of a stream only the beginning.
func (c *certificate) get(t *testing.T, url, token string) (code int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.client.Do(request)
	if err != nil {
		t.Fatal(fmt.Errorf("GET %s: %w", url, err))
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		beginning := make([]byte, 16)
		if _, err := io.ReadFull(resp.Body, beginning); err != nil {
			t.Errorf("GET %s: %v", url, err)
		}
		return resp.StatusCode, string(beginning)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(fmt.Errorf("GET %s: %w", url, err))
	}
	return resp.StatusCode, string(body)
}
