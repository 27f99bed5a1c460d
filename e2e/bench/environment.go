// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// machine is the class of machine that everything ran on: the servers, the replicas and what measures them. It tells what can
// be compared, and not whose it is: there is neither a host name nor a path in it.
type machine struct {
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	MemoryGB int    `json:"memoryGB,omitempty"` // 0 if the system does not say
	System   string `json:"system"`
}

func thisMachine() machine {
	m := machine{
		CPU: firstValue("/proc/cpuinfo", "model name", ":"), Cores: runtime.NumCPU(),
		System: strings.Trim(firstValue("/etc/os-release", "PRETTY_NAME", "="), `"`),
	}
	if m.CPU == "" {
		m.CPU = runtime.GOARCH
	}
	if m.System == "" {
		m.System = runtime.GOOS
	}
	kilobytes, err := strconv.Atoi(strings.TrimSuffix(firstValue("/proc/meminfo", "MemTotal", ":"), " kB"))
	if err == nil {
		const perGB = 1_000_000_000 / 1024 // /proc/meminfo says kB and means KiB
		m.MemoryGB = (kilobytes + perGB/2) / perGB
	}
	return m
}

func (m machine) String() string {
	s := fmt.Sprintf("%s, %d cores", m.CPU, m.Cores)
	if m.MemoryGB > 0 {
		s += fmt.Sprintf(", %d GB of memory", m.MemoryGB)
	}
	return s + ", " + m.System
}

// firstValue is the first value of a key in a file of lines; empty if there is none, as on other systems than Linux.
func firstValue(path, key, separator string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), separator); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// contenderModules are those that the contenders come from, by the name that readers know them under.
var contenderModules = map[string]string{
	"k8s.io/client-go":               "client-go",
	"knative.dev/pkg":                "knative.dev/pkg",
	"sigs.k8s.io/controller-runtime": "controller-runtime",
}

// moduleVersions are those that this program was built with.
func moduleVersions() map[string]string {
	versions := map[string]string{"Go": strings.TrimPrefix(runtime.Version(), "go")}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return versions
	}
	for _, module := range info.Deps {
		if name, ok := contenderModules[module.Path]; ok {
			versions[name] = module.Version
		}
	}
	return versions
}

// commit is that of the source tree in which this program was built.
func commit() string {
	revision, dirty := "unknown", ""
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return revision
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			revision = setting.Value
		case "vcs.modified":
			if setting.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	return revision + dirty
}
