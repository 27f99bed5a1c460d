// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// silent is the configuration of an API server that never answers.
func silent() *rest.Config {
	return &rest.Config{Host: "http://api.example.com", Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// run serves on a connection of its own until stop, which says what Run returned.
func run(t *testing.T, o Options) (e *Endpoint, stop func() error) {
	t.Helper()
	var err error
	if o.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	o.Gatherer = counted()
	if e, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- e.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-result
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	return e, stop
}

func TestEndpointServesUntilItIsTold(t *testing.T) {
	e, stop := run(t, Options{})
	resp, err := http.Get("http://" + e.Addr() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "ok" {
		t.Errorf("it answered %q, %v", body, err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if conn, err := net.Dial("tcp", e.Addr()); err == nil {
		_ = conn.Close()
		t.Error("it listens after its end")
	}
}

func TestEndpointSaysThatItCannotServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Options{Listener: l, Gatherer: counted()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "serving HTTP on "+e.Addr()) {
		t.Errorf("Run returned %v", err)
	}
}

// Whoever looks at the dashboard does not keep the replica from ending.
func TestStreamsEndWithTheEndpoint(t *testing.T) {
	ended := make(chan struct{})
	e, stop := run(t, Options{Dashboard: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.SetWriteDeadline(time.Time{}); err != nil { // else it would be cut
			t.Error(err)
		}
		fmt.Fprintln(w, "hello")
		if err := control.Flush(); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
		close(ended)
	})})
	resp, err := http.Get("http://" + e.Addr() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("%q, %v", line, err)
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	<-ended
	if took := time.Since(began); took >= shutdownTimeout {
		t.Errorf("the end took %s: it has waited for the stream", took)
	}
}

// pipes is a listener in memory, and what dials it.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours, nil
}

// A request is answered in time or cut off; a stream goes on.
func TestStreamsAreNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const long = 10 * writeTimeout
		mux := http.NewServeMux()
		mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(writeTimeout + time.Second)
			fmt.Fprintln(w, "too late")
		})
		mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			for r.Context().Err() == nil {
				if err := control.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
					t.Error(err)
				}
				fmt.Fprintln(w, "still here")
				if err := control.Flush(); err != nil {
					return // the client has closed
				}
				select {
				case <-r.Context().Done():
				case <-time.After(writeTimeout / 3):
				}
			}
		})
		listener := make(pipes)
		e, err := New(Options{Listener: listener, Gatherer: counted(), Dashboard: mux})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- e.Run(ctx) }()
		client := &http.Client{Transport: &http.Transport{DialContext: listener.dial, DisableKeepAlives: true}}

		if resp, err := client.Get("http://replica/slow"); err == nil {
			_ = resp.Body.Close()
			t.Errorf("what is too slow is answered with %s", resp.Status)
		}
		resp, err := client.Get("http://replica/events")
		if err != nil {
			t.Fatal(err)
		}
		began, lines := time.Now(), bufio.NewReader(resp.Body)
		for time.Since(began) < long {
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatalf("the stream ended after %s: %v", time.Since(began), err)
			}
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestStreamsHaveALimit(t *testing.T) {
	block := make(chan struct{})
	var entered sync.WaitGroup
	entered.Add(2)
	h := lasting(2, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered.Done()
		<-block
	}))
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { get(h, http.MethodGet, "/events") })
	}
	entered.Wait()
	if got := get(h, http.MethodGet, "/events"); got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
		t.Errorf("the third got %d", got.Code)
	}
	close(block)
	all.Wait()
	entered.Add(1)
	if got := get(h, http.MethodGet, "/events"); got.Code != http.StatusOK {
		t.Errorf("the next got %d", got.Code)
	}
}

// Somebody who connects and keeps still does not keep a kubelet out.
func TestConnectionsHaveALimit(t *testing.T) {
	dial := func() (ours, theirs net.Conn) {
		ours, theirs = net.Pipe()
		t.Cleanup(func() { ours.Close(); theirs.Close() })
		return ours, theirs
	}
	closed := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		return err == io.EOF
	}
	c := &connections{limit: 2, open: map[net.Conn]connection{}}
	busy, busyPeer := dial()
	idle, idlePeer := dial()
	for _, conn := range []net.Conn{busy, idle} {
		c.changed(conn, http.StateNew)
		c.changed(conn, http.StateActive)
	}
	c.changed(idle, http.StateIdle)
	probe, probePeer := dial()
	c.changed(probe, http.StateNew)
	if closed(busyPeer) || !closed(idlePeer) || closed(probePeer) {
		t.Error("the new one was to take the place of the one that is idle")
	}
	c.changed(idle, http.StateClosed)
	c.changed(probe, http.StateActive)
	late, latePeer := dial()
	c.changed(late, http.StateNew)
	c.changed(late, http.StateActive) // the server may not have noticed yet
	if closed(latePeer) || !closed(busyPeer) || len(c.open) != 2 {
		t.Errorf("the newest of 3 was to take the place of the oldest that is busy; %d are there", len(c.open))
	}
	c.changed(busy, http.StateActive) // the server may not have noticed yet
	c.changed(busy, http.StateClosed)
	c.changed(late, http.StateClosed)
	next, nextPeer := dial()
	c.changed(next, http.StateNew)
	if closed(nextPeer) {
		t.Error("there was room for one more")
	}
}

// Somebody who connects and says nothing does not keep a kubelet out.
func TestSilentConnectionsKeepNoProbeOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Options{Listener: l, Gatherer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	for range maxConnections {
		c, err := net.Dial("tcp", e.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + e.Addr() + "/livez")
	if err != nil {
		t.Fatalf("a probe gets no answer: %v", err)
	}
	resp.Body.Close()
}

// pair writes a certificate and its key, valid for so long from now on.
func pair(t *testing.T, files Files, serial int64, validity time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "shardctl"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validity),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, files.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	write(t, files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func tempFiles(t *testing.T) Files {
	t.Helper()
	dir := t.TempDir()
	return Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
}

func TestEndpointServesTLS(t *testing.T) {
	files := tempFiles(t)
	pair(t, files, 1, time.Hour)
	e, _ := run(t, Options{TLS: files})
	roots := x509.NewCertPool()
	cert, err := os.ReadFile(files.Cert)
	if err != nil || !roots.AppendCertsFromPEM(cert) {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + e.Addr() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || resp.TLS.Version < tls.VersionTLS12 {
		t.Errorf("%s by %s, TLS %x", resp.Status, resp.Proto, resp.TLS.Version)
	}
	old := &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	if conn, err := tls.Dial("tcp", e.Addr(), old); err == nil {
		_ = conn.Close()
		t.Error("it speaks TLS 1.1")
	}
}

// rotating is a certificate that follows its files, in virtual time.
type rotating struct {
	*certificate
	t     *testing.T
	files Files
	log   strings.Builder
}

func rotate(t *testing.T, by func(r *rotating)) {
	t.Helper()
	files := tempFiles(t)
	synctest.Test(t, func(t *testing.T) {
		r := &rotating{t: t, files: files}
		pair(t, files, 1, time.Hour)
		var err error
		if r.certificate, err = newCertificate("spec.http.tls", files); err != nil {
			t.Fatal(err)
		}
		log := funcr.New(func(_, args string) { r.log.WriteString(args + "\n") }, funcr.Options{})
		ctx, stop := context.WithCancel(klog.NewContext(t.Context(), log))
		ended := make(chan error)
		go func() { ended <- r.watchLoop(ctx) }()
		by(r)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("watchLoop returned %v", err)
		}
	})
}

// serial is that of the certificate which is in force once the files were looked at.
func (r *rotating) serial() int64 {
	r.t.Helper()
	time.Sleep(2 * CertificateInterval)
	synctest.Wait()
	cert, err := r.get(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return cert.Leaf.SerialNumber.Int64()
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	rotate(t, func(r *rotating) {
		if got := r.serial(); got != 1 || r.log.Len() > 0 {
			t.Errorf("certificate %d, log %q", got, &r.log)
		}
		pair(r.t, r.files, 2, time.Hour)
		if got := r.serial(); got != 2 || !strings.Contains(r.log.String(), "The certificate was read again") {
			t.Errorf("certificate %d, log %q; want the new one", got, &r.log)
		}
	})
}

func TestCertificateThatCannotBeUsedReplacesNone(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(r *rotating)
		told  string
	}{
		"no PEM":               {func(r *rotating) { write(r.t, r.files.Cert, []byte("nonsense")) }, "failed to find any PEM data"},
		"a key of another one": {func(r *rotating) { pair(r.t, Files{Cert: r.files.Cert + ".other", Key: r.files.Key}, 3, time.Hour) }, "private key does not match public key"},
		"gone": {func(r *rotating) {
			if err := os.Remove(r.files.Key); err != nil {
				r.t.Fatal(err)
			}
		}, "spec.http.tls.keyFile: open"},
		"expired":   {func(r *rotating) { pair(r.t, r.files, 3, -time.Minute) }, "it has expired at"},
		"too large": {func(r *rotating) { write(r.t, r.files.Cert, make([]byte, maxCertificateBytes+1)) }, "larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			rotate(t, func(r *rotating) {
				tc.spoil(r)
				if got := r.serial(); got != 1 {
					t.Errorf("certificate %d, want the one before", got)
				}
				if log := r.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, tc.told) {
					t.Errorf("the log is %q, want one line with %q", log, tc.told)
				}
				pair(r.t, r.files, 4, time.Hour)
				if got := r.serial(); got != 4 {
					t.Errorf("certificate %d, want the one that mends it", got)
				}
			})
		})
	}
}
