// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/shardctl/shardctl/pkg/lease"
)

// alarm rings at an instant of CLOCK_BOOTTIME. Go's own timers stand still while the machine is suspended;
// this one rings as soon as it is awake again.
type alarm struct {
	rings chan struct{} // holds one
	fd    int
	file  *os.File
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("making a timer on CLOCK_BOOTTIME: %w", err)
	}
	return &alarm{rings: make(chan struct{}, 1), fd: fd, file: os.NewFile(uintptr(fd), "timer")}, nil
}

// set replaces the instant. One that has passed rings at once.
func (a *alarm) set(at lease.Instant) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(at, 1)))} // 0 would switch it off
	if err := unix.TimerfdSettime(a.fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		// It is not to be had for a valid timer. Without one the program must not go on: it dies with this process.
		panic(fmt.Sprintf("setting a timer on CLOCK_BOOTTIME: %v", err))
	}
}

// ringLoop runs until the alarm is closed.
func (a *alarm) ringLoop() error {
	for expirations := make([]byte, 8); ; {
		if _, err := a.file.Read(expirations); errors.Is(err, os.ErrClosed) {
			return nil
		} else if err != nil {
			panic(fmt.Sprintf("reading a timer on CLOCK_BOOTTIME: %v", err)) // see set
		}
		select {
		case a.rings <- struct{}{}:
		default:
		}
	}
}

func (a *alarm) close() { _ = a.file.Close() }
