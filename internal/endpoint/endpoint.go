// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
)

// Limits.
const (
	// headerTimeout is also for how long the body may take that no request should have.
	headerTimeout   = 5 * time.Second
	writeTimeout    = 30 * time.Second // not for streams
	idleTimeout     = time.Minute
	shutdownTimeout = time.Second

	maxHeaderBytes = 16 << 10 // tokens of service accounts have 1 KiB
	maxConnections = 256
	maxStreams     = 64 // of the dashboard
	maxProfiles    = 4
	maxPerHTTP2    = 32 // requests at a time on one connection
	maxScrapes     = 4
)

// Options of an [Endpoint].
type Options struct {
	// Listener is where it serves. Required. Run closes it.
	Listener net.Listener
	// TLS names the files of a certificate and its key. Without, it serves in the clear.
	TLS Files

	// Protect are the parts that are only for those whom the Reviewer lets.
	Protect []Part
	// Reviewer says who may read what is protected. Required if anything is.
	Reviewer *Reviewer

	// Gatherer has the metrics. Required.
	Gatherer prometheus.Gatherer
	// Registerer, if set, gets those about the collection of metrics.
	Registerer prometheus.Registerer

	// Live and Ready are what /livez and /readyz ask.
	Live, Ready []Check

	// Dashboard, if set, serves "/" and all below that is nothing else. Its stream is
	// GET /events: it has to set a deadline for what it writes there, by
	// [http.ResponseController], or it ends after 30 s.
	Dashboard http.Handler

	// Pprof serves profiles. They have to be protected, unless only this machine reaches
	// the Listener: they tell what is in memory, and taking them costs.
	Pprof bool
}

func (o *Options) validate() error {
	if o.Listener == nil || o.Gatherer == nil {
		return errors.New("endpoint: a listener and a gatherer are needed")
	}
	for _, part := range o.Protect {
		if !slices.Contains(Parts(), part) {
			return fmt.Errorf("endpoint: there is no part %q to protect: use some of %v", part, Parts())
		}
	}
	if len(o.Protect) > 0 && o.Reviewer == nil {
		return errors.New("endpoint: a reviewer is needed for what is protected")
	}
	if o.Pprof && !slices.Contains(o.Protect, Pprof) && !Local(o.Listener.Addr()) {
		return fmt.Errorf("--pprof: everybody who reaches %s could read profiles of this process: "+
			"add pprof to spec.http.authorization.protect, or listen on a loopback address (spec.http.address)", o.Listener.Addr())
	}
	return nil
}

// Local tells an address that only this machine reaches.
func Local(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Endpoint is what a replica serves by HTTP.
type Endpoint struct {
	listener    net.Listener
	handler     http.Handler
	certificate *certificate // nil: no TLS
}

// New makes an endpoint. It does not answer before [Endpoint.Run]. It is an error, naming
// the field of the configuration, if the certificate cannot be used.
func New(o Options) (*Endpoint, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return newEndpoint(o.Listener, "spec.http.tls", o.TLS, newHandler(o))
}

// NewFor makes an endpoint that serves the handler and nothing else, under the same
// limits. The field of the configuration names the files; without any it serves in the
// clear. Streams have to set the deadlines of what they write, and to end by themselves:
// nobody tells them.
func NewFor(l net.Listener, field string, files Files, h http.Handler) (*Endpoint, error) {
	return newEndpoint(l, field, files, careful(h))
}

func newEndpoint(l net.Listener, field string, files Files, h http.Handler) (*Endpoint, error) {
	e := &Endpoint{listener: l, handler: h}
	if files != (Files{}) {
		var err error
		if e.certificate, err = newCertificate(field, files); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Addr is the address that it listens on, as host:port.
func (e *Endpoint) Addr() string { return e.listener.Addr().String() }

// Run serves until ctx is done. Streams end then; all else that is under way has a second
// to end.
func (e *Endpoint) Run(ctx context.Context) error {
	ending, end := context.WithCancel(context.Background())
	defer end()
	base := context.WithValue(context.WithoutCancel(ctx), endingKey{}, ending)
	server := e.server(base)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := e.serve(server); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving HTTP on %s: %w", e.Addr(), err)
		}
		return nil
	})
	if e.certificate != nil {
		g.Go(func() error { return e.certificate.watchLoop(ctx) })
	}
	g.Go(func() error {
		<-ctx.Done()
		end()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(bounded) != nil {
			return server.Close()
		}
		return nil
	})
	return g.Wait()
}

func (e *Endpoint) serve(server *http.Server) error {
	if e.certificate != nil {
		return server.ServeTLS(e.listener, "", "")
	}
	return server.Serve(e.listener)
}

// server has no ReadTimeout: it would end streams, by cancelling their requests.
func (e *Endpoint) server(base context.Context) *http.Server {
	open := &connections{limit: maxConnections, open: map[net.Conn]connection{}}
	s := &http.Server{
		Handler:           e.handler,
		ReadHeaderTimeout: headerTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		BaseContext:    func(net.Listener) context.Context { return base },
		ConnState:      open.changed,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: maxPerHTTP2},
		// Handshakes that fail, mostly: whoever can connect could fill the log.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(klog.FromContext(base).V(2)), slog.LevelInfo),
	}
	if e.certificate != nil {
		s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: e.certificate.get}
	}
	return s
}
