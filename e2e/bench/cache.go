// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	// fillLimit bounds how long a cache may take to be filled.
	fillLimit = 2 * time.Minute
	// heapAgain is when the heap is read for the second time: goroutines that filled the cache may hold on to what they had for it.
	heapAgain = time.Second
)

// filled is what a process that has filled a cache says about itself.
type filled struct {
	Objects int
	// Heap is what the objects take of the Go heap, in bytes: what is in use after garbage collection, the lesser of two times,
	// minus what was before anything was watched.
	Heap float64
	// Resident is the whole process's memory after garbage collection, and Peak the most that it ever was, in bytes. The Go
	// runtime keeps some of what it has freed.
	Resident, Peak float64
	// CPU is the processor time, of program and kernel, from the start of the process until the handler had been told of
	// everything, in seconds.
	CPU float64
	// Decode is the processor time that it takes then to decode all objects once, in seconds; 0 if they are already.
	Decode float64
}

// runCache is a process with caches: one that fills a single cache, or one with a controller for each type.
func runCache(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "fill":
			return runFill(ctx, args[1:])
		case "start":
			return runStart(ctx, args[1:])
		}
	}
	return fmt.Errorf("cache: %q is not enough: begin with fill or start", args)
}

// runFill fills a cache, the way it is told, writes a filled to a file as JSON, and ends.
func runFill(ctx context.Context, args []string) error {
	flags := pflag.NewFlagSet("fill", pflag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	who := flags.String("who", "", "whose cache")
	of := flags.String("of", "", "the resource to cache")
	again := flags.Duration("again", heapAgain, "how long after the first time the heap is read for the second")
	to := flags.String("to", "", "the file to write to what came of it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	cfg.QPS = -1
	ctrl.SetLogger(klog.Background())
	i := slices.IndexFunc(cacheKinds(), func(k cacheKind) bool { return k.who == contender(*who) })
	if i < 0 {
		return fmt.Errorf("--who: %q has no cache", *who)
	}
	j := slices.IndexFunc(shapes(), func(s shape) bool { return s.name == *of })
	if j < 0 {
		return fmt.Errorf("--of: there are no %q", *of)
	}
	ctx, cancel := context.WithTimeout(ctx, fillLimit)
	defer cancel()
	result, err := fill(ctx, cfg, cacheKinds()[i], shapes()[j], *again)
	if err != nil {
		return fmt.Errorf("cache of %s, filled with %s: %w", *who, *of, err)
	}
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return os.WriteFile(*to, text, 0o600)
}

// fill watches the objects of a shape and looks at this process when all are there.
func fill(ctx context.Context, cfg *rest.Config, k cacheKind, s shape, again time.Duration) (filled, error) {
	c, err := k.open(cfg, s)
	if err != nil {
		return filled{}, err
	}
	before := heap()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		if err := c.run(ctx); err != nil {
			return err
		}
		if ctx.Err() == nil {
			return errors.New("it has ended by itself")
		}
		return nil
	})
	var result filled
	tasks.Go(func() (err error) {
		defer stop()
		result, err = c.observe(ctx, before, again)
		return err
	})
	err = tasks.Wait()
	return result, err
}

// observe waits until the cache is full, and reads the heap then and again after a while.
func (c openCache) observe(ctx context.Context, before float64, again time.Duration) (f filled, err error) {
	var told atomic.Int64
	if err := c.sync(ctx, toolscache.ResourceEventHandlerFuncs{AddFunc: func(any) { told.Add(1) }}); err != nil {
		return filled{}, err
	}
	if f.CPU, err = processorTime(); err != nil {
		return filled{}, err
	}
	f.Heap = heap() - before
	if err := pause(ctx, again); err != nil {
		return filled{}, err
	}
	f.Objects, f.Heap = int(told.Load()), min(f.Heap, heap()-before)
	if f.Resident, f.Peak, err = memory(); err != nil || c.decode == nil {
		return f, err
	}
	f.Decode, err = cpuOf(c.decode)
	return f, err
}

// cpuOf is the processor time that something takes, in seconds, with the garbage collection that it causes.
func cpuOf(do func() error) (float64, error) {
	before, err := processorTime()
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := processorTime()
	return after - before, err
}

// heap is what is in use after garbage collection, in bytes. What a finalizer or a pool holds on to is gone after the second.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// processorTime is how many seconds this process has used.
func processorTime() (float64, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds(), nil
}

// memory is what is resident of this process, and the most that ever was, in bytes.
func memory() (now, peak float64, err error) {
	self, err := procfs.Self()
	if err != nil {
		return 0, 0, fmt.Errorf("memory: %w", err)
	}
	status, err := self.NewStatus()
	if err != nil {
		return 0, 0, fmt.Errorf("memory: %w", err)
	}
	return float64(status.VmRSS), float64(status.VmHWM), nil
}
