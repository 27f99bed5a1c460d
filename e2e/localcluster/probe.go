// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// prober asks one container what one of its probes asks.
type prober struct {
	probe     *corev1.Probe
	container *corev1.Container
	network   *podNetwork
}

// run probes again and again until the context is done, and tells each change: true after so many successes in a row, false
// after so many failures, with the last one's reason.
func (p prober) run(ctx context.Context, tell func(ok bool, reason error)) {
	if !pause(ctx, time.Duration(p.probe.InitialDelaySeconds)*time.Second) {
		return
	}
	ticker := time.NewTicker(time.Duration(max(1, p.probe.PeriodSeconds)) * time.Second)
	defer ticker.Stop()
	successes, failures := int32(0), int32(0)
	for {
		err := p.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			successes, failures = successes+1, 0
		} else {
			successes, failures = 0, failures+1
		}
		if successes >= max(1, p.probe.SuccessThreshold) {
			tell(true, nil)
		}
		if failures >= max(1, p.probe.FailureThreshold) {
			tell(false, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p prober) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(1, p.probe.TimeoutSeconds))*time.Second)
	defer cancel()
	switch {
	case p.probe.HTTPGet != nil:
		return p.get(ctx, p.probe.HTTPGet)
	case p.probe.TCPSocket != nil:
		address, err := p.address(p.probe.TCPSocket.Port)
		if err != nil {
			return err
		}
		conn, err := p.network.node.ns.dial(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	return errors.New("a local cluster knows probes by httpGet and tcpSocket only")
}

func (p prober) get(ctx context.Context, action *corev1.HTTPGetAction) error {
	address, err := p.address(action.Port)
	if err != nil {
		return err
	}
	scheme := strings.ToLower(string(action.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	path := "/" + strings.TrimPrefix(action.Path, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/local")
	for _, header := range action.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext:       p.network.node.ns.dial,
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as a kubelet does
	}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", response.StatusCode)
	}
	return nil
}

func (p prober) address(port intstr.IntOrString) (string, error) {
	number := port.IntValue()
	for _, named := range p.container.Ports {
		if port.Type == intstr.String && named.Name == port.StrVal {
			number = int(named.ContainerPort)
		}
	}
	if number == 0 {
		return "", fmt.Errorf("the container has no port %q", port.String())
	}
	return net.JoinHostPort(p.network.ip().String(), strconv.Itoa(number)), nil
}

// pause waits, and tells whether the time has passed rather than the context ended.
func pause(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
