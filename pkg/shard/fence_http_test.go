// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/pkg/fence"
)

// patience of these tests: real connections know no virtual time.
const patience = 30 * time.Second

// onEveryProtocol runs a test with fenced clients of a server that speaks
// HTTP/1.1, and of one that speaks HTTP/2.
func onEveryProtocol(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, base string, f *fencedTransport)) {
	for major, name := range []string{1: "HTTP/1.1", 2: "HTTP/2"} {
		if name == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != major {
					t.Errorf("%s %s by %s, want %s", r.Method, r.URL.Path, r.Proto, name)
				}
				handler(w, r)
			}))
			server.EnableHTTP2 = major == 2
			server.StartTLS()
			t.Cleanup(server.Close)
			test(t, server.URL, newFence(server.Client().Transport))
		})
	}
}

func request(ctx context.Context, t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// failed sends a request that is to have no answer.
func failed(f *fencedTransport, req *http.Request) error {
	resp, err := f.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
		return errors.New("there was an answer")
	}
	return err
}

func within[T any](t *testing.T, c <-chan T, what string) (got T) {
	t.Helper()
	select {
	case got = <-c:
	case <-time.After(patience):
		t.Fatalf("%s did not happen", what)
	}
	return got
}

const widgetPath = "/apis/example.com/v1/namespaces/ns/widgets/w"

func TestEndOfTheTermCutsAWriteOnTheWire(t *testing.T) {
	arrived, cut := make(chan struct{}, 1), make(chan struct{}, 1)
	handler := func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // or HTTP/1 does not notice that the client goes
		arrived <- struct{}{}
		<-r.Context().Done()
		cut <- struct{}{}
	}
	onEveryProtocol(t, handler, func(t *testing.T, base string, f *fencedTransport) {
		term, _ := testTerm(time.Hour)
		ended := make(chan error, 1)
		req := request(inTerm(t.Context(), term), t, http.MethodPut, base+widgetPath, "{}")
		go func() { ended <- failed(f, req) }()
		within(t, arrived, "the write")
		term.end()
		err := within(t, ended, "the end of the write")
		if failure, ok := errors.AsType[*WriteError](err); !ok || !failure.Sent || !errors.Is(err, ErrTermOver) {
			t.Errorf("the write ended with %v, want a WriteError that says that it was sent, and ErrTermOver", err)
		}
		within(t, cut, "the server's notice of it")
	})
}

func TestEndOfTheTermCutsNoWatch(t *testing.T) {
	more := make(chan struct{})
	handler := func(w http.ResponseWriter, _ *http.Request) {
		for range 2 {
			fmt.Fprintln(w, "event")
			w.(http.Flusher).Flush()
			<-more
		}
	}
	onEveryProtocol(t, handler, func(t *testing.T, base string, f *fencedTransport) {
		term, _ := testTerm(time.Hour)
		resp, err := f.RoundTrip(request(inTerm(t.Context(), term), t, http.MethodGet, base+"/api/v1/pods?watch=true", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		events := bufio.NewReader(resp.Body)
		for i := range 2 {
			if line, err := events.ReadString('\n'); err != nil || line != "event\n" {
				t.Fatalf("event %d: %q, %v", i, line, err)
			}
			term.end()
			more <- struct{}{}
		}
	})
}

// An upgrade takes a connection of its own, so it is HTTP/1.1 always.
func TestUpgradedConnectionIsOpenedWithinATermAndNotCut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, stream, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		stream.Flush()
		io.Copy(conn, stream)
	}))
	t.Cleanup(server.Close)
	f := newFence(server.Client().Transport)
	upgrade := func(ctx context.Context) *http.Request {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/api/v1/namespaces/ns/pods/p/exec", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		return req
	}
	if err := failed(f, upgrade(t.Context())); !errors.Is(err, ErrNoTerm) {
		t.Fatalf("outside of any term: %v, want ErrNoTerm", err)
	}
	term, _ := testTerm(time.Hour)
	resp, err := f.RoundTrip(upgrade(inTerm(t.Context(), term)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	term.end()
	stream, ok := resp.Body.(io.ReadWriter)
	if !ok {
		t.Fatal("nothing can be written to the upgraded connection")
	}
	echo := make([]byte, len("still here"))
	if _, err := io.WriteString(stream, "still here"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stream, echo); err != nil || string(echo) != "still here" {
		t.Errorf("%q came back, error %v", echo, err)
	}
}

func TestWriteOfWhichTheConnectionBreaksIsReadBack(t *testing.T) {
	read := make(chan struct{}, 1)
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			panic(http.ErrAbortHandler) // breaks the connection, or the stream
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"kind": "Widget", "metadata": {"resourceVersion": "8"}}`)
		read <- struct{}{}
	}
	onEveryProtocol(t, handler, func(t *testing.T, base string, f *fencedTransport) {
		term, _ := testTerm(time.Hour)
		defer term.end()
		err := failed(f, request(inTerm(t.Context(), term), t, http.MethodPut, base+widgetPath, `{"metadata": {"resourceVersion": "7"}}`))
		if _, fenced := errors.AsType[*WriteError](err); fenced {
			t.Errorf("the write ended with %v, want what the transport says", err)
		}
		term.awaitWrites(patience)
		within(t, read, "the reading back")
		if got := term.wrote()["widgets.example.com"]; got != "8" {
			t.Errorf("the next holder waits for %q, want 8", got)
		}
	})
}

func TestWriteThatFindsNoConnectionHoldsNoShard(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	term, _ := testTerm(time.Hour)
	defer term.end()
	err = failed(newFence(&http.Transport{}), request(inTerm(t.Context(), term), t, http.MethodPost, "http://"+l.Addr().String()+"/api/v1/pods", "{}"))
	if dial, ok := errors.AsType[*net.OpError](err); !ok || dial.Op != "dial" {
		t.Fatalf("the write ended with %v, want a connection that is refused", err)
	}
	began := time.Now()
	term.awaitWrites(patience)
	if took := time.Since(began); took >= patience {
		t.Errorf("the shard waited for %s for a write that was never sent", took)
	}
}

// Clients of an API server behind a proxy send all requests below the path of its host.
func TestFencedConfigBehindAProxy(t *testing.T) {
	const base = "/k8s/clusters/c-1"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, base+"/apis/") {
			t.Errorf("%s was asked for", r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "resourceVersion": "12"}}`)
	}))
	t.Cleanup(server.Close)
	client, err := dynamic.NewForConfig(fenced(&rest.Config{Host: server.URL + base + "/"}, newFence(nil).metrics, nil))
	if err != nil {
		t.Fatal(err)
	}
	create := func(ctx context.Context, group, resource, kind string) error {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": group + "/v1", "kind": kind, "metadata": map[string]any{"name": "w"}}}
		_, err := client.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}).Create(ctx, o, metav1.CreateOptions{})
		return err
	}
	term, _ := testTerm(time.Hour)
	defer term.end()
	if err := create(inTerm(t.Context(), term), "example.com", "widgets", "Widget"); err != nil {
		t.Error(err)
	}
	if got, want := term.wrote(), map[string]string{"widgets.example.com": "12"}; !maps.Equal(got, want) {
		t.Errorf("the next holder waits for %v, want %v", got, want)
	}
	if err := create(t.Context(), "authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"); err != nil {
		t.Errorf("a review needs a term: %v", err)
	}
	if err := create(t.Context(), "example.com", "widgets", "Widget"); !errors.Is(err, ErrNoTerm) {
		t.Errorf("a write outside of any term: %v, want ErrNoTerm", err)
	}
}

// What Kubernetes' clients make of it: the body is sent again, and the errors
// are those that they give their users.
func TestFencedConfigWithAClient(t *testing.T) {
	refusals := make(chan struct{}, 1)
	refusals <- struct{}{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body, _ := io.ReadAll(r.Body)
		select {
		case <-refusals:
		default:
			if !strings.Contains(string(body), "never") {
				w.Write(body)
				return
			}
		}
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, refusal(fence.MessagePrefix+"p holds the shard"))
	}))
	t.Cleanup(server.Close)
	m := newFence(nil).metrics
	client, err := dynamic.NewForConfig(fenced(&rest.Config{Host: server.URL}, m, nil))
	if err != nil {
		t.Fatal(err)
	}
	widgets := client.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}).Namespace("ns")
	widget := func(name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": name},
		}}
	}
	term, _ := testTerm(time.Hour)
	defer term.end()
	ctx := inTerm(t.Context(), term)
	if created, err := widgets.Create(ctx, widget("w"), metav1.CreateOptions{}); err != nil || created.GetName() != "w" {
		t.Errorf("created %v, error %v; want w, which was refused once", created, err)
	}
	if _, err := widgets.Create(ctx, widget("never"), metav1.CreateOptions{}); !ServerFenced(err) {
		t.Errorf("ServerFenced is false for %v", err)
	}
	_, err = widgets.Create(t.Context(), widget("w"), metav1.CreateOptions{})
	if failure, ok := errors.AsType[*WriteError](err); !ok || failure.Sent || !errors.Is(err, ErrNoTerm) {
		t.Errorf("outside of any term: %v, want a WriteError that says ErrNoTerm", err)
	}
}
