// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestHeapCountsWhatIsInUse(t *testing.T) {
	const size = 16 * megabyte
	before := heap()
	used := make([]byte, size)
	if grown := heap() - before; grown < size-megabyte || grown > size+megabyte {
		t.Errorf("%d bytes more are in use, and the heap has grown by %.0f", size, grown)
	}
	runtime.KeepAlive(used)
	if left := heap() - before; left > megabyte {
		t.Errorf("nothing of it is in use any more, and the heap is larger by %.0f", left)
	}
}

func TestFootprintOfThisProcess(t *testing.T) {
	f, err := footprintOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	now, peak, err := memory()
	if err != nil {
		t.Fatal(err)
	}
	if f.own <= 0 || f.own >= f.resident || now <= 0 || peak < now {
		t.Errorf("own %.0f, resident %.0f, a moment later %.0f, at most %.0f", f.own, f.resident, now, peak)
	}
}

func TestCacheSaysWhatIsMissing(t *testing.T) {
	for args, want := range map[string]string{
		"":                 "begin with fill or start",
		"drain":            "begin with fill or start",
		"start --who=etcd": `"etcd" has no controllers`,
		"fill --who=etcd":  `"etcd" has no cache`,
	} {
		kubeconfig := []string{"--kubeconfig=" + writeKubeconfig(t), "--events=" + t.TempDir() + "/events"}
		if strings.HasPrefix(args, "fill") {
			kubeconfig = kubeconfig[:1]
		}
		err := runCache(t.Context(), append(strings.Fields(args), kubeconfig...))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

// writeKubeconfig writes one of a server that nobody asks.
func writeKubeconfig(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/kubeconfig"
	text := `{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
