// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// clientsDir has the clients that are shown to users.
const clientsDir = "../../examples/leadership"

// job writes down when it is started and ended. It stays for a moment when it is told to
// end, as jobs do.
const job = `trap 'sleep 0.1; echo "stop $SHARDCTL_EPOCH" >>"$LOG"; exit' TERM
echo "start $SHARDCTL_EPOCH" >>"$LOG"
while :; do sleep 0.05; done`

// stubborn is a job that does not end. While it is alive it has the pipe open that the test
// reads, and it starts no process that could have it, too.
const stubborn = `trap '' TERM
exec 3>"$LOG.alive" 4<>"$LOG.never"
echo "start $SHARDCTL_EPOCH" >>"$LOG"
while :; do read -r _ <&4; done`

// brief is a job that ends by itself.
const brief = `echo "start $SHARDCTL_EPOCH" >>"$LOG"`

// program is a client that runs.
type program struct {
	*fixture

	proxy *proxy
	log   string // what the job has written
	alive int    // what reads the stubborn job's pipe
	cmd   *exec.Cmd
	said  *lockedBuffer
}

// lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// runClient runs a client of the examples on a role that waits for acknowledgements, with a
// grace that is longer than what any of them takes.
func runClient(t *testing.T, client string, command ...string) *program {
	t.Helper()
	needs := map[string][]string{"leader.sh": {"sh", "curl"}, "leader.py": {"python3"}}[client]
	for _, tool := range needs {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is needed to test %s: %v", tool, client, err)
			}
			t.Skipf("%s is needed: %v", tool, err)
		}
	}
	f := newFixture(t, Role{Name: "leader", Kind: Leadership, Grace: 40 * time.Second, Acknowledge: true})
	f.run(t)
	p := &program{fixture: f, proxy: newProxy(t, f.addr), log: filepath.Join(t.TempDir(), "log"), said: &lockedBuffer{}}
	p.openPipes(t)
	p.cmd = exec.Command(needs[0], append([]string{filepath.Join(clientsDir, client), "leader"}, command...)...)
	p.cmd.Env = append(os.Environ(), "SHARDCTL_URL="+p.proxy.url(), "LOG="+p.log, "STOP_SECONDS=1", "PYTHONDONTWRITEBYTECODE=1")
	p.cmd.Stderr = p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(t)
		if t.Failed() {
			t.Logf("%s said:\n%s", client, p.said)
		}
	})
	return p
}

// end ends the client as a kubelet does.
func (p *program) end(t *testing.T) {
	t.Helper()
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the client ended with %v", err)
	}
}

// does waits until the job has written this, a line for each start and stop.
func (p *program) does(t *testing.T, lines ...string) {
	t.Helper()
	want := strings.Join(lines, "\n") + "\n"
	p.await(t, fmt.Sprintf("the job to write %q", want), func() bool { return p.written() == want })
}

func (p *program) written() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	return string(text)
}

func (p *program) await(t *testing.T, what string, so func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) { return so(), nil })
	if err != nil {
		t.Fatalf("waited in vain for %s; it has written %q", what, p.written())
	}
}

// forEachClient runs a test with each of the clients.
func forEachClient(t *testing.T, test func(t *testing.T, client string)) {
	t.Parallel()
	for _, client := range []string{"leader.sh", "leader.py"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			test(t, client)
		})
	}
}

func TestClientRunsItsJobWhileTheRoleIsGranted(t *testing.T) {
	forEachClient(t, func(t *testing.T, client string) {
		p := runClient(t, client, "sh", "-c", job)
		for _, epoch := range []int32{5, 7} {
			d := p.lead(t, "leader", epoch)
			p.await(t, "a start", func() bool { return strings.HasSuffix(p.written(), fmt.Sprintf("start %d\n", epoch)) })
			d.stop(errHandOver)
			// Nothing but the acknowledgement ends this wait.
			p.await(t, "the role to be given away", func() bool { return d.returned(t) })
			if !strings.HasSuffix(p.written(), fmt.Sprintf("stop %d\n", epoch)) {
				t.Fatalf("the role may be given away before the job has ended: it has written %q", p.written())
			}
			p.leads("leader", other, epoch+1)
		}
		p.end(t)
		p.does(t, "start 5", "stop 5", "start 7", "stop 7")
	})
}

func TestClientTakesACutForTheEnd(t *testing.T) {
	forEachClient(t, func(t *testing.T, client string) {
		p := runClient(t, client, "sh", "-c", job)
		d := p.lead(t, "leader", 5)
		p.does(t, "start 5")
		p.proxy.cut()
		p.does(t, "start 5", "stop 5", "start 5") // it comes back, and the role is still granted
		p.proxy.cut()
		d.stop(errHandOver) // while nobody listens, or soon after
		p.does(t, "start 5", "stop 5", "start 5", "stop 5")
		p.await(t, "the role to be given away", func() bool { return d.returned(t) })
	})
}

func TestClientTakesSilenceForTheEnd(t *testing.T) {
	forEachClient(t, func(t *testing.T, client string) {
		p := runClient(t, client, "sh", "-c", job)
		p.lead(t, "leader", 5)
		p.does(t, "start 5")
		p.proxy.freeze(true)
		p.does(t, "start 5", "stop 5")
		p.proxy.freeze(false)
		p.proxy.cut()
		p.does(t, "start 5", "stop 5", "start 5")
	})
}

func TestClientStopsItsJobWhenItEnds(t *testing.T) {
	forEachClient(t, func(t *testing.T, client string) {
		p := runClient(t, client, "sh", "-c", job)
		p.lead(t, "leader", 5)
		p.does(t, "start 5")
		p.end(t)
		p.does(t, "start 5", "stop 5")
	})
}

func TestClientKillsAJobThatDoesNotEnd(t *testing.T) {
	forEachClient(t, func(t *testing.T, client string) {
		p := runClient(t, client, "sh", "-c", stubborn)
		d := p.lead(t, "leader", 5)
		p.does(t, "start 5")
		p.isAlive(t)
		d.stop(errHandOver)
		p.await(t, "the role to be given away", func() bool { return d.returned(t) })
		p.isDead(t)
	})
}

// isDead checks that the stubborn job is: nobody has its pipe open any more.
func (p *program) isDead(t *testing.T) {
	t.Helper()
	if n, err := syscall.Read(p.alive, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the job is still alive: its pipe reads %d, %v", n, err)
	}
}

// isAlive is the opposite: a test of death proves nothing of what could not be seen.
func (p *program) isAlive(t *testing.T) {
	t.Helper()
	if _, err := syscall.Read(p.alive, make([]byte, 1)); err != syscall.EAGAIN {
		t.Errorf("the job does not have its pipe open: %v", err)
	}
}

// openPipes makes the pipes of the stubborn job, and opens the one that tells of it.
func (p *program) openPipes(t *testing.T) {
	t.Helper()
	for _, name := range []string{".alive", ".never"} {
		if err := syscall.Mkfifo(p.log+name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if p.alive, err = syscall.Open(p.log+".alive", syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(p.alive) })
}

// TestJobHasEndedBeforeItsTerm: the shardctl beside the client is stopped, and cannot say so.
func TestJobHasEndedBeforeItsTerm(t *testing.T) {
	t.Parallel()
	p := runClient(t, "leader.py", "sh", "-c", stubborn)
	term := newFakeTerm(5, 3*time.Second)
	p.leads("leader", self, 5)
	p.leadUnseen(t, "leader", term)
	p.does(t, "start 5")
	p.isAlive(t)
	p.proxy.freeze(true)
	p.await(t, "the end of the term", func() bool { return term.Remaining() <= 0 })
	p.isDead(t)
}

func TestClientGivesTheRoleUpIfItsJobEnds(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{"ends": {"sh", "-c", brief}, "cannot be started": {"/no/such/command"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := runClient(t, "leader.py", command...)
			d := p.lead(t, "leader", 5)
			p.await(t, "it to yield", func() bool {
				p.fakeGroup.mu.Lock()
				defer p.fakeGroup.mu.Unlock()
				return len(p.yields) > 0
			})
			d.stop(errHandOver)
			p.await(t, "the role to be given away", func() bool { return d.returned(t) })
		})
	}
}
