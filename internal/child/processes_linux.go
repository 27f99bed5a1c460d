// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// process is one line of the system's table of processes.
type process struct {
	pid, parent, group int
	zombie             bool
	// began tells two processes apart that have the same number one after the other: the time of the start,
	// in ticks of the system.
	began string
}

// processes reads the table. It is no snapshot: processes that start or end meanwhile are in it or not.
func processes() ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing the processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(0)
	if err != nil {
		return nil, fmt.Errorf("listing the processes: %w", err)
	}
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue // not a process
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // has ended
		}
		if p, ok := parseStat(pid, stat); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// parseStat reads /proc/PID/stat: see proc_pid_stat(5). The program's name is in brackets, and may hold
// brackets and spaces of its own.
func parseStat(pid int, stat []byte) (process, bool) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	group, err2 := strconv.Atoi(string(fields[2]))
	if err1 != nil || err2 != nil {
		return process{}, false
	}
	state := fields[0][0]
	return process{
		pid: pid, parent: parent, group: group, began: string(fields[19]),
		zombie: state == 'Z' || state == 'X',
	}, true
}

// descendants returns those of all that descend from a process, without itself.
func descendants(all []process, ancestor int) []process {
	children := make(map[int][]process)
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
	}
	found := children[ancestor]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found
}

// signalDescendants sends a signal to all that descends from a process: to a group in one go, if any of them is in it,
// which none escapes by forking; to the others one by one. Who forks meanwhile may be missed. It returns how many
// of them were alive.
//
// A number may belong to another process by now if the one that had it was reaped since the table was read, and
// the system has run through all its numbers in those microseconds.
func signalDescendants(ancestor, group int, s unix.Signal) (alive int, err error) {
	all, err := processes()
	if err != nil {
		return 0, err
	}
	inGroup := false
	for _, p := range descendants(all, ancestor) {
		if !p.zombie {
			alive++
		}
		if group != 0 && p.group == group {
			inGroup = true
		} else if !p.zombie {
			_ = unix.Kill(p.pid, s)
		}
	}
	if inGroup {
		_ = unix.Kill(-group, s)
	}
	return alive, nil
}

// living tells whether a process group has a member that is not dead.
func living(all []process, group int) bool {
	for _, p := range all {
		if p.group == group && !p.zombie {
			return true
		}
	}
	return false
}
