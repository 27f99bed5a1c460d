// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

const (
	portForwardProtocol = "portforward.k8s.io"
	// maxHalfOpen limits the connections whose second stream has not come yet.
	maxHalfOpen = 64
	idleTimeout = 4 * time.Hour
)

// forwarding is a connection of `kubectl port-forward`, which carries any number of connections to the Pod. For each the client
// makes two streams with one request ID: one for an error, which it makes first, and one for the data.
type forwarding struct {
	pod     *worker
	running sync.WaitGroup

	mu     sync.Mutex
	errors map[string]httpstream.Stream // by request ID, until the data stream comes
}

func (k *kubelet) servePortForward(w http.ResponseWriter, r *http.Request) {
	pod, err := k.find(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{portForwardProtocol}); err != nil {
		return // the client has been told
	}
	f := &forwarding{pod: pod, errors: map[string]httpstream.Stream{}}
	ctx, cancel := context.WithCancel(pod.leaving)
	connection := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
		return f.accept(ctx, stream)
	})
	if connection == nil {
		cancel()
		return // the client has been told
	}
	connection.SetIdleTimeout(idleTimeout)
	select {
	case <-connection.CloseChan():
	case <-ctx.Done():
	}
	cancel()
	_ = connection.Close()
	f.running.Wait()
}

func (f *forwarding) accept(ctx context.Context, stream httpstream.Stream) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := stream.Headers().Get(corev1.PortForwardRequestIDHeader)
	switch stream.Headers().Get(corev1.StreamType) {
	case corev1.StreamTypeError:
		if len(f.errors) == maxHalfOpen {
			return errors.New("too many connections without data")
		}
		f.errors[id] = stream
	case corev1.StreamTypeData:
		failures, ok := f.errors[id]
		if !ok {
			return fmt.Errorf("request %q has no error stream", id)
		}
		delete(f.errors, id)
		f.running.Go(func() { f.carry(ctx, stream, failures) })
	default:
		return errors.New("neither an error stream nor a data stream")
	}
	return nil
}

// carry connects to the Pod and copies until the Pod has closed the connection, or the client everything.
func (f *forwarding) carry(ctx context.Context, stream, failures httpstream.Stream) {
	defer func() {
		_ = stream.Close()
		_ = failures.Close()
		_ = stream.Reset()
	}()
	port := stream.Headers().Get(corev1.PortHeader)
	conn, err := f.pod.dialPort(ctx, port)
	if err != nil {
		fmt.Fprintf(failures, "connect to port %s of Pod %s: %v", port, f.pod.pod.Name, err)
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var upload sync.WaitGroup
	upload.Go(func() {
		_, _ = io.Copy(conn, stream) // its end is all that matters
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	})
	_, _ = io.Copy(stream, conn) // as above
	_ = stream.Reset()
	_ = conn.Close()
	upload.Wait()
}
