// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

const (
	nodeAPIAddress = "127.0.0.1"
	headerTimeout  = 5 * time.Second
	followPoll     = 200 * time.Millisecond // of a log that is followed
)

// nodeAPI is what the API server asks a node for, on behalf of `kubectl logs` and `kubectl port-forward`. It listens on this
// machine, where the API server is: a node that is cut off answers all the same.
type nodeAPI struct {
	listener net.Listener
	server   *http.Server
}

func (k *kubelet) listen(cp *controlplane.ControlPlane) error {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(nodeAPIAddress, "0"))
	if err != nil {
		return err
	}
	k.api.listener = listener
	certificate, key, err := certutil.GenerateSelfSignedCertKey(nodeAPIAddress, nil, nil)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(cp.Config().CAData)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.serveLogs)
	mux.HandleFunc("POST /portForward/{namespace}/{pod}", k.servePortForward)
	k.api.server = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTimeout,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
			VerifyConnection: onlyAPIServer,
			NextProtos:       []string{"http/1.1"}, // what a connection can be taken over from
		},
	}
	return nil
}

// onlyAPIServer keeps other users of the cluster from what is the API server's to grant them.
func onlyAPIServer(state tls.ConnectionState) error {
	if user := state.PeerCertificates[0].Subject.CommonName; user != controlplane.KubeletClientUser {
		return fmt.Errorf("user %q may not ask a node: only %q may", user, controlplane.KubeletClientUser)
	}
	return nil
}

func (a *nodeAPI) port() int32 {
	address, _ := a.listener.Addr().(*net.TCPAddr)
	return int32(address.Port) //nolint:gosec // a port
}

// serve answers until ctx is done.
func (a *nodeAPI) serve(ctx context.Context) error {
	a.server.BaseContext = func(net.Listener) context.Context { return ctx }
	a.server.ErrorLog = klog.NewStandardLogger("INFO")
	stop := context.AfterFunc(ctx, func() { _ = a.server.Close() })
	defer stop()
	if err := a.server.ServeTLS(a.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("node API: %w", err)
	}
	return nil
}

// find returns the worker of a Pod by its name, the newest of several.
func (k *kubelet) find(r *http.Request) (*worker, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("pod")
	k.mu.Lock()
	defer k.mu.Unlock()
	var found *worker
	for _, w := range k.workers {
		if w.pod.Namespace == namespace && w.pod.Name == name && (found == nil || found.began.Before(&w.began)) {
			found = w
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s does not run Pod %s/%s", k.name, namespace, name)
	}
	return found, nil
}

// endpoints is where the API server finds the node.
func (a *nodeAPI) endpoints() corev1.NodeDaemonEndpoints {
	return corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: a.port()}}
}

// dialPort connects to a port of a Pod, given in decimal.
func (w *worker) dialPort(ctx context.Context, port string) (net.Conn, error) {
	w.mu.Lock()
	prepared := w.prepared
	w.mu.Unlock()
	if !prepared {
		return nil, errors.New("the Pod has no network yet")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return w.network.ns.dial(ctx, "tcp", net.JoinHostPort("127.0.0.1", strings.TrimSpace(port)))
}
