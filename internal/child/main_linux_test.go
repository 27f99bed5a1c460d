// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/pkg/lease"
)

// addressVariable tells a program where the test listens.
const addressVariable = "CHILD_TEST_ADDRESS"

// TestMain makes the test binary a guardian, a replica or a program, if its first argument says so.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case GuardianCommand:
			if err := Guard(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "replica":
			os.Exit(beReplica(os.Args[2:]))
		case "program":
			os.Exit(play(os.Args[2], os.Args[3:]))
		}
	}
	goleak.VerifyTestMain(m)
}

// program is the command line of a program that the test binary plays.
func program(name string, args ...string) []string {
	return append([]string{os.Args[0], "program", name}, args...)
}

// play is the main function of a program.
func play(name string, args []string) int {
	switch name {
	case "polite": // ends with 7 when it is asked to
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		announce(name)
		<-asked
		fmt.Println("bye")
		return 7
	case "counter": // ends with how often it was asked to, by the time it is woken in case it is stopped
		told := make(chan os.Signal, 8)
		signal.Notify(told, syscall.SIGTERM, syscall.SIGCONT)
		announce(name)
		times, woken := 0, false
		for times == 0 || !woken { // two threads may take them in the other way round
			if <-told == syscall.SIGTERM {
				times++
			} else {
				woken = true
			}
		}
		return times
	case "stubborn": // takes no SIGTERM
		signal.Ignore(syscall.SIGTERM)
		announce(name)
		stay()
	case "stamps": // takes no SIGTERM either, and writes into a file when it was last alive
		signal.Ignore(syscall.SIGTERM)
		file, _ := os.Create(args[0])
		announce(name)
		stampOn(file)
	case "exclusive": // must be alone
		return exclusive(args[0], args[1])
	case "environment":
		fmt.Println(strings.Join(os.Environ(), "\n"))
		announce(strings.Join(os.Environ(), " "))
		stay()
	case "fail":
		fmt.Fprintln(os.Stderr, "the reason")
		return 3
	case "crash":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "mute":
		os.Stdout.Close()
		os.Stderr.Close()
		signal.Ignore(syscall.SIGTERM)
		announce(name)
		stay()
	case "flood": // no line ends
		signal.Ignore(syscall.SIGTERM)
		announce(name)
		for chunk := make([]byte, 1<<16); ; {
			os.Stdout.Write(chunk)
			os.Stderr.Write(chunk)
		}
	case "daemon": // has what it needs in a session of its own, that does not descend from it any more
		spawn(true, "launcher", "stubborn")
		announce(name)
		stay()
	case "launcher":
		spawn(true, args[0])
	case "leaver":
		announce(name)
		spawn(true, "launcher", "stubborn")
	case "abandoner": // leaves somebody behind when it is told to
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGUSR1)
		spawn(true, "launcher", "polite")
		announce(name)
		<-told
	case "family":
		signal.Ignore(syscall.SIGTERM)
		spawn(false, "stubborn")
		announce(name)
		stay()
	case "bomb":
		signal.Ignore(syscall.SIGTERM)
		if depth, _ := strconv.Atoi(args[0]); depth > 0 {
			for range 3 {
				spawn(true, "bomb", strconv.Itoa(depth-1))
			}
		}
		announce(name)
		stay()
	case "orphans": // leaves behind many that end at once
		for range 20 {
			run("launcher", "nothing")
		}
		announce(name)
		stay()
	case "nothing":
	case "exit":
		code, _ := strconv.Atoi(args[0])
		return code
	case "reaper":
		return beReaper()
	default:
		return 99
	}
	return 0
}

// stay never returns. (A bare select would be taken for a deadlock, and end the process.)
func stay() {
	for {
		time.Sleep(time.Hour)
	}
}

// announce tells the test that this process is alive. The connection breaks when it dies.
func announce(name string) {
	conn, err := net.Dial("unix", os.Getenv(addressVariable))
	if err != nil {
		os.Exit(98) // the test is over
	}
	fmt.Fprintln(conn, os.Getpid(), name)
}

// spawn starts a program that outlives this one, with the same output.
func spawn(ownSession bool, name string, args ...string) {
	cmd := exec.Command("/proc/self/exe", append([]string{"program", name}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: ownSession}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

// run runs a program to its end.
func run(name string, args ...string) {
	if err := exec.Command("/proc/self/exe", append([]string{"program", name}, args...)...).Run(); err != nil {
		panic(err)
	}
}

// stampOn writes the time into a file for as long as the process is alive.
func stampOn(file *os.File) {
	for clock := lease.BootClock(); ; {
		file.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(clock.Now())), 0)
		time.Sleep(100 * time.Microsecond)
	}
}

// lastStamp is when stampOn wrote last.
func lastStamp(t *testing.T, path string) lease.Instant {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || len(data) != 8 {
		t.Fatalf("%d bytes of a stamp: %v", len(data), err)
	}
	return lease.Instant(binary.LittleEndian.Uint64(data))
}

// exclusive holds a lock for as long as it is alive, and notes if somebody else has it.
func exclusive(lock, violations string) int {
	signal.Ignore(syscall.SIGTERM)
	file, err := os.OpenFile(lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		panic(err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		note, _ := os.OpenFile(violations, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		fmt.Fprintf(note, "%d: two are alive\n", os.Getpid())
		note.Close()
	}
	announce("exclusive")
	stay()
	return 0
}

// beReaper adopts orphans and reaps them, while it waits for children of its own.
func beReaper() int {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(testContext(), syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- reapLoop(ctx, time.Second) }()
	run("launcher", "nothing")
	for range 20 {
		err := exec.Command("/proc/self/exe", "program", "exit", "3").Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 3 {
			return 1 // its exit status was stolen
		}
	}
	err := wait.PollUntilContextTimeout(ctx, time.Millisecond, patience, true, func(context.Context) (bool, error) {
		all, err := processes()
		return len(descendants(all, os.Getpid())) == 0, err
	})
	if err != nil {
		panic(err)
	}
	stop()
	if err := <-ended; err != nil {
		return 2
	}
	return 0
}
