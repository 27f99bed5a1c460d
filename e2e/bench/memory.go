// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	kilobyte = 1 << 10
	megabyte = 1 << 20
	// dynamicTimesOurs is how much more memory the dynamic informer takes for an object: the least that is wanted.
	dynamicTimesOurs = 3
)

// measureMemory fills the cache of each contender with the same 10,000 objects, in a process of its own: Deployments as they are
// in life, with the target, and ConfigMaps that hardly compress, without one. All have one handler, as a controller adds it, and
// watch all namespaces. The dynamic informer that the target is about has client-go's defaults.
//
// What ours saves has to be decoded when somebody wants it: the time that takes is a figure beside. Whoever wants nothing but metadata
// would keep nothing else, and so informers of metadata are among the caches.
func measureMemory(ctx context.Context, b *bench) error {
	realistic, random := deployments(), configMaps()
	if err := b.stock(ctx, realistic, random); err != nil {
		return err
	}
	for _, s := range []shape{realistic, random} {
		w, err := weigh(ctx, b.cp.Config(), s)
		if err != nil {
			return err
		}
		b.add(figure{Name: "json_per_object_" + s.name, Unit: "KB", Value: w.whole / kilobyte})
		b.add(figure{Name: "json_without_managed_fields_per_object_" + s.name, Unit: "KB", Value: w.withoutManagement / kilobyte})
		heaps, err := b.fillAll(ctx, s, w)
		if err != nil {
			return err
		}
		ratio := figure{Name: "dynamic_times_ours_" + s.name, Unit: "times", Value: heaps[dynamicInformer] / heaps[session]}
		if s.name == realistic.name {
			ratio = ratio.atLeast(dynamicTimesOurs)
		}
		b.add(ratio)
		b.add(figure{Name: "dynamic_without_managed_fields_times_ours_" + s.name, Unit: "times", Value: heaps[dynamicSlim] / heaps[session]})
	}
	return nil
}

// fillAll fills every kind of cache, and returns the bytes per object.
func (b *bench) fillAll(ctx context.Context, s shape, w weight) (map[contender]float64, error) {
	perObject := map[contender]float64{}
	for _, k := range cacheKinds() {
		f, err := b.fill(ctx, k.who, s)
		if err != nil {
			return nil, err
		}
		perObject[k.who] = f.Heap / float64(f.Objects)
		b.add(figure{Name: "memory_per_object_" + s.name, Who: k.who, Unit: "KB", Value: perObject[k.who] / kilobyte})
		b.add(figure{Name: "memory_times_json_" + s.name, Who: k.who, Unit: "times", Value: perObject[k.who] / w.whole})
		b.add(figure{Name: "resident_memory_" + s.name, Who: k.who, Unit: "MB", Value: f.Resident / megabyte})
		b.add(figure{Name: "peak_of_resident_memory_" + s.name, Who: k.who, Unit: "MB", Value: f.Peak / megabyte})
		b.add(figure{Name: "cpu_to_fill_" + s.name, Who: k.who, Unit: "s", Value: f.CPU})
		if f.Decode > 0 {
			micros := f.Decode / float64(f.Objects) / time.Microsecond.Seconds()
			b.add(figure{Name: "cpu_to_decode_per_object_" + s.name, Who: k.who, Unit: "µs", Value: micros})
		}
	}
	return perObject, nil
}

// fill starts a process that fills a cache, and waits for what it says. The process ends with this one at the latest.
func (b *bench) fill(ctx context.Context, who contender, s shape) (f filled, err error) {
	log := filepath.Join(b.dir, "caches.log")
	fail := func(err error) (filled, error) {
		return filled{}, fmt.Errorf("cache of %s, filled with %s: %w; its log is %s", who, s.name, err, log)
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	result := filepath.Join(b.dir, "filled.json")
	if err := os.Remove(result); err != nil && !errors.Is(err, fs.ErrNotExist) { // what the one before has said
		return fail(err)
	}
	args := []string{"cache", "fill", "--kubeconfig=" + b.cp.KubeconfigPath(), "--who=" + string(who), "--of=" + s.name, "--to=" + result}
	if b.quick {
		args = append(args, "--again=0s")
	}
	p, err := fleet.StartProcess(self, args, os.Environ(), log)
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, p.Kill()) }()
	err = wait.PollUntilContextTimeout(ctx, startPoll, 2*fillLimit, true, func(context.Context) (bool, error) { return !p.Running(), nil })
	if err != nil {
		return fail(fmt.Errorf("wait for it to end: %w", err))
	}
	said, err := os.ReadFile(result)
	if err != nil {
		return fail(err)
	}
	if err := json.Unmarshal(said, &f); err != nil {
		return fail(fmt.Errorf("%q: %w", said, err))
	}
	if f.Objects < b.stocked() {
		return fail(fmt.Errorf("it was told of %d of %d objects", f.Objects, b.stocked()))
	}
	return f, nil
}
