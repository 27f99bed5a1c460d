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
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
)

func TestSourceReports(t *testing.T) {
	no := forbidden(widgets)
	tests := []struct {
		name string
		err  error
		want []string
	}{
		{"success", nil, []string{"list <nil>", "watch <nil>"}},
		{"failure", no, []string{"list " + no.Error(), "watch " + no.Error()}},
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

// However long an outage was, it is over for the replica soon after its end, and
// each failed request was reported.
func TestSourceOutlastsAnOutage(t *testing.T) {
	for _, err := range []error{fmt.Errorf("dial: %w", syscall.ECONNREFUSED), apierrors.NewTooManyRequests("busy", 1), apierrors.NewServiceUnavailable("starting")} {
		synctest.Test(t, func(t *testing.T) {
			const length = 5 * time.Minute
			began, reports := time.Now(), 0
			s := &source{
				list: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
					if time.Since(began) < length {
						return nil, err
					}
					return &metav1.List{}, nil
				},
				report: func(_ string, err error) {
					if err != nil {
						reports++
					}
				},
			}
			if _, err := s.listOnce(t.Context(), metav1.ListOptions{}); err != nil {
				t.Errorf("list: %v", err)
			}
			if late := time.Since(began) - length; late > 3*maxOutagePause/2 {
				t.Errorf("%v: listed %s after the end of the outage", err, late)
			}
			if least, most := int(length/(2*maxOutagePause)), int(2*length/maxOutagePause); reports < least || reports > most {
				t.Errorf("%v: %d failed requests in %s, want %d to %d", err, reports, length, least, most)
			}
		})
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
		synctest.Test(t, func(t *testing.T) {
			s := failingSource(test.err)
			s.report = func(string, error) {}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := s.watchOnce(ctx, test.opts)
			if err == nil {
				t.Fatalf("%s: no error", test.name)
			}
			slept := utilnet.IsConnectionRefused(err) || apierrors.IsTooManyRequests(err)
			if test.hidden && slept || !test.hidden && !errors.Is(err, test.err) {
				t.Fatalf("%s: watch: %v, hidden: %v", test.name, err, !slept)
			}
		})
	}
}

func failingSource(err error) *source {
	return &source{
		list:  func(context.Context, metav1.ListOptions) (runtime.Object, error) { return nil, err },
		watch: func(context.Context, metav1.ListOptions) (watch.Interface, error) { return watch.NewEmptyWatch(), err },
	}
}
