// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv makes this test binary the program of an exec role: "<how> <directory>".
const childEnv = "SHARDCTL_SUITE_CHILD"

// How a child behaves.
const (
	obedient   = "obedient"   // ends when it is asked to
	stubborn   = "stubborn"   // does not
	family     = "family"     // has children of its own that do not, of which one has left its process group
	descendant = "descendant" // one of these
	brittle    = "brittle"    // fails
)

// What a child writes down.
const (
	didStart   = "start"
	didBeat    = "beat"
	didEnd     = "end"       // it was asked to
	notAlone   = "not alone" // somebody else has the lock
	beatPeriod = 20 * time.Millisecond
	brittleEnd = 3 // its exit code
)

// deed is a line of the journal that all children of a role write.
type deed struct {
	PID   int    `json:"pid"`
	Epoch int    `json:"epoch"`
	What  string `json:"what"`
	// At is CLOCK_BOOTTIME, which all processes of a machine share, and which goes on whatever stops.
	At time.Duration `json:"at"`
}

func uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// runChild is the whole life of a child.
func runChild(spec string) int {
	how, dir, _ := strings.Cut(spec, " ")
	if how == descendant {
		signal.Ignore(unix.SIGTERM, unix.SIGHUP)
		for {
			time.Sleep(time.Hour)
		}
	}
	c := &supervised{how: how, dir: filepath.Join(dir, os.Getenv("SHARDCTL_ROLE"))}
	if err := c.live(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if how == brittle {
		fmt.Println("there is no paper left")
		return brittleEnd
	}
	return 0
}

type supervised struct {
	how, dir string
	lock     *os.File
	journal  *os.File
}

// live holds the lock of the role from the beginning to the end, and says all the while that it is there.
func (c *supervised) live() error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, unix.SIGTERM)
	var err error
	if c.journal, err = os.OpenFile(filepath.Join(c.dir, "journal"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	if c.lock, err = os.OpenFile(filepath.Join(c.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(int(c.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return c.note(notAlone)
	}
	if err := c.note(didStart); err != nil || c.how == brittle {
		return err
	}
	if c.how == family {
		for _, leaves := range []bool{false, true} {
			if err := c.bear(leaves); err != nil {
				return err
			}
		}
	}
	for beat := time.NewTicker(beatPeriod); ; {
		select {
		case <-beat.C:
			if err := c.note(didBeat); err != nil {
				return err
			}
		case <-asked:
			if c.how != stubborn {
				return c.note(didEnd)
			}
		}
	}
}

// bear starts a descendant, which has the lock too: it is free only when all are dead.
func (c *supervised) bear(leaves bool) error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{childEnv + "=" + descendant}
	cmd.ExtraFiles = []*os.File{c.lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: leaves}
	return cmd.Start()
}

// note writes a line at once, or not at all.
func (c *supervised) note(what string) error {
	epoch, err := strconv.Atoi(os.Getenv("SHARDCTL_EPOCH"))
	if err != nil {
		return err
	}
	line, err := json.Marshal(deed{PID: os.Getpid(), Epoch: epoch, What: what, At: uptime()})
	if err != nil {
		return err
	}
	_, err = c.journal.Write(append(line, '\n'))
	return err
}
