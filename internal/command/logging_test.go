// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"log"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/klog/v2"
)

// jsonLog has the process log as JSON until the end of the test.
func jsonLog(t *testing.T, verbosity int) *bytes.Buffer {
	t.Helper()
	before, flags := slog.Default(), log.Flags()
	var out bytes.Buffer
	if err := setLogging(&out, logJSON, verbosity); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		klog.ClearLogger()
		slog.SetDefault(before)
		log.SetOutput(os.Stderr) // else it goes on to slog, and that to it
		log.SetFlags(flags)
		if err := setVerbosity(0); err != nil {
			t.Error(err)
		}
	})
	return &out
}

// decoded is a log, without the times.
func decoded(t *testing.T, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for text := range strings.Lines(log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("line %q: %v", text, err)
		}
		if at, err := time.Parse(time.RFC3339Nano, line["time"].(string)); err != nil || at.IsZero() {
			t.Errorf("the time of %q: %v", text, err)
		}
		delete(line, "time")
		all = append(all, line)
	}
	return all
}

func TestJSONLogKeepsWhatIsLogged(t *testing.T) {
	own := func() klog.Logger {
		return klog.Background().WithName("shardctl").WithValues("shard", "widgets", "epoch", 7)
	}
	for name, tc := range map[string]struct {
		log  func()
		want map[string]any
	}{
		"name and values": {
			func() { own().Info("Promoted", "cause", "transfer") },
			map[string]any{"level": "INFO", "logger": "shardctl", "msg": "Promoted", "shard": "widgets", "epoch": 7.0, "cause": "transfer"},
		},
		"a duration with its unit": {
			func() { own().Info("Joining", "leaseDuration", 15*time.Second) },
			map[string]any{"level": "INFO", "logger": "shardctl", "msg": "Joining", "shard": "widgets", "epoch": 7.0, "leaseDuration": "15s"},
		},
		"an error": {
			func() { own().Error(errors.New("it broke"), "Not done") },
			map[string]any{"level": "ERROR", "logger": "shardctl", "msg": "Not done", "shard": "widgets", "epoch": 7.0, "err": "it broke"},
		},
		"a higher verbosity": {
			func() { own().V(2).Info("More") },
			map[string]any{"level": "INFO", "v": 2.0, "logger": "shardctl", "msg": "More", "shard": "widgets", "epoch": 7.0},
		},
		"client-go's lines with values": {
			func() { klog.InfoS("Caches populated", "type", klog.KRef("ns", "name")) },
			map[string]any{"level": "INFO", "msg": "Caches populated", "type": map[string]any{"namespace": "ns", "name": "name"}},
		},
		"client-go's plain lines": {
			func() { klog.Warningf("watch of %s ended", "leases") },
			map[string]any{"level": "INFO", "msg": "watch of leases ended"},
		},
		"client-go's errors": {
			func() { klog.Errorf("failed to watch %s", "leases") },
			map[string]any{"level": "ERROR", "msg": "failed to watch leases"},
		},
		"lines of the standard library": {
			func() { log.Print("http: superfluous call") },
			map[string]any{"level": "INFO", "msg": "http: superfluous call"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			out := jsonLog(t, 2)
			tc.log()
			got := decoded(t, out)
			if len(got) != 1 {
				t.Fatalf("%d lines: %s", len(got), out)
			}
			want, err := json.Marshal(tc.want)
			if err != nil {
				t.Fatal(err)
			}
			if have, err := json.Marshal(got[0]); err != nil || string(have) != string(want) {
				t.Errorf("the line is %s, want %s", have, want)
			}
		})
	}
}

func TestVerbosityHoldsForJSONToo(t *testing.T) {
	out := jsonLog(t, 1)
	klog.Background().V(2).Info("own")
	klog.V(2).InfoS("client-go")
	if out.Len() > 0 {
		t.Errorf("it logged %s", out)
	}
	klog.Background().V(1).Info("own")
	klog.V(1).InfoS("client-go")
	if n := len(decoded(t, out)); n != 2 {
		t.Errorf("it logged %d lines, want 2: %s", n, out)
	}
}

func TestLoggingRefuses(t *testing.T) {
	for want, err := range map[string]error{
		`--log-format: "xml" is not known: use text or json`: setLogging(os.Stderr, "xml", 0),
		`--v: -1 is not allowed: use 0 or more`:              setLogging(os.Stderr, logText, -1),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
	if err := setVerbosity(0); err != nil {
		t.Error(err)
	}
}
