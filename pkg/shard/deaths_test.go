// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/internal/terminationlog"
	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/lease"
)

// runInPod runs a replica without any work until it holds its role, and returns what its termination-message file had in
// it when the first request on a Lease was sent.
func runInPod(t *testing.T, uid types.UID, path string) (content string) {
	t.Helper()
	c := newCluster(t)
	var once sync.Once
	first := func(context.Context, string) error {
		once.Do(func() {
			text, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
			content = string(text)
		})
		return nil
	}
	o := GroupOptions{
		Name: "g", Namespace: "ns", Pod: "p", PodUID: uid, Container: "main", TerminationLog: path, NoPodWatch: true,
		Timings: lease.Fast, Clock: lease.MonotonicClock(),
	}
	if err := o.setDefaults(); err != nil {
		t.Fatal(err)
	}
	set, err := informers.New(informers.FromDynamic(c.objects), served{}, informers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGroup(&rest.Config{}, lease.NewClientFor(c.leases.Client("p", first)), set, o)
	if err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	err = g.AddRole(Role{Name: "role", Run: func(ctx context.Context) error {
		close(held)
		<-ctx.Done()
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- g.Run(ctx) }()
	select {
	case <-held:
	case <-time.After(time.Minute):
		t.Error("it has not got its role")
	}
	leave()
	if err := <-result; err != nil {
		t.Error(err)
	}
	return content
}

// There must be no session whose end nobody could tell.
func TestGroupSaysWhichProcessItIsBeforeItsFirstRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		content := runInPod(t, "some-uid", path)
		if !strings.HasPrefix(content, "shardctl replica main.") || !strings.Contains(content, " of group ns/g: ") {
			t.Errorf("the file has %q, want the line of this replica", content)
		}
	})
}

func TestGroupDoesWithoutATerminationLog(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		uid  types.UID
		path string
	}{
		"outside of any Pod":  {"", empty},
		"there is no file":    {"some-uid", filepath.Join(t.TempDir(), "absent")},
		"the path is no file": {"some-uid", os.DevNull},
		"switched off":        {"some-uid", terminationlog.Off},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if content := runInPod(t, test.uid, test.path); content != "" {
					t.Errorf("%s has %q, want nothing", test.path, content)
				}
			})
		})
	}
}

func TestGroupWatchesPodsFromWithinAPodOnly(t *testing.T) {
	for name, test := range map[string]struct {
		options GroupOptions
		want    bool
	}{
		"in a Pod":           {GroupOptions{PodUID: "uid"}, true},
		"in a Pod, unwanted": {GroupOptions{PodUID: "uid", NoPodWatch: true}, false},
		"outside of any Pod": {GroupOptions{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			pods, err := test.options.pods(&rest.Config{Host: "localhost"})
			if err != nil {
				t.Fatal(err)
			}
			if got := pods != nil; got != test.want {
				t.Errorf("it watches Pods: %t, want %t", got, test.want)
			}
		})
	}
}
