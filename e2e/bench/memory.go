// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	}
	return perObject, nil
}

// fill starts a process that fills a cache, and waits for what it says.
func (b *bench) fill(ctx context.Context, who contender, s shape) (f filled, err error) {
	fail := func(err error) (filled, error) {
		return filled{}, fmt.Errorf("cache of %s, filled with %s: %w", who, s.name, err)
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	log, err := os.OpenFile(filepath.Join(b.dir, "caches.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fail(err)
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, self, "cache", "fill", "--kubeconfig="+b.cp.KubeconfigPath(), "--who="+string(who), "--of="+s.name)
	cmd.Stderr = log
	said, err := cmd.Output()
	if err != nil {
		return fail(fmt.Errorf("%w; its log is %s", err, log.Name()))
	}
	if err := json.Unmarshal(said, &f); err != nil {
		return fail(fmt.Errorf("%q: %w", said, err))
	}
	if f.Objects < b.stocked() {
		return fail(fmt.Errorf("it was told of %d of %d objects", f.Objects, b.stocked()))
	}
	return f, nil
}
