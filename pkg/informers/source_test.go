// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
)

func TestSourceReports(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name string
		err  error
		want []string
	}{
		{"success", nil, []string{"list <nil>", "watch <nil>"}},
		{"failure", boom, []string{"list boom", "watch boom"}},
		{"resourceVersion too old", apierrors.NewResourceExpired("too old"), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var reports []string
			s := failingSource(test.err)
			s.report = func(verb string, err error) { reports = append(reports, fmt.Sprint(verb, " ", err)) }
			if _, err := s.listOnce(t.Context(), metav1.ListOptions{}); !errors.Is(err, test.err) {
				t.Errorf("list: %v", err)
			}
			if _, err := s.watchOnce(t.Context(), metav1.ListOptions{}); !errors.Is(err, test.err) {
				t.Errorf("watch: %v", err)
			}
			if !slices.Equal(reports, test.want) {
				t.Errorf("reports: %q, want %q", reports, test.want)
			}
		})
	}
}

func TestSourceReportsNothingOnceStopped(t *testing.T) {
	s := failingSource(context.Canceled)
	s.report = func(verb string, err error) { t.Errorf("reported: %s %v", verb, err) }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.listOnce(ctx, metav1.ListOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("list: %v", err)
	}
	if _, err := s.watchOnce(ctx, metav1.ListOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("watch: %v", err)
	}
}

// The reflector answers these errors of a streaming list with a sleep that outlasts
// its context.
func TestSourceHidesErrorsThatAreSleptOn(t *testing.T) {
	refused := fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	busy := apierrors.NewTooManyRequests("busy", 1)
	streaming := metav1.ListOptions{SendInitialEvents: ptr.To(true)}
	tests := []struct {
		name   string
		err    error
		opts   metav1.ListOptions
		hidden bool
	}{
		{"refused, streaming", refused, streaming, true},
		{"busy, streaming", busy, streaming, true},
		{"forbidden, streaming", forbidden(widgets), streaming, false},
		{"refused", refused, metav1.ListOptions{}, false},
		{"busy", busy, metav1.ListOptions{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := failingSource(test.err)
			s.report = func(string, error) {}
			_, err := s.watchOnce(t.Context(), test.opts)
			if err == nil {
				t.Fatal("no error")
			}
			slept := utilnet.IsConnectionRefused(err) || apierrors.IsTooManyRequests(err)
			if test.hidden && slept || !test.hidden && !errors.Is(err, test.err) {
				t.Fatalf("watch: %v, hidden: %v", err, !slept)
			}
		})
	}
}

func failingSource(err error) *source {
	return &source{
		list:  func(context.Context, metav1.ListOptions) (runtime.Object, error) { return nil, err },
		watch: func(context.Context, metav1.ListOptions) (watch.Interface, error) { return nil, err },
	}
}
