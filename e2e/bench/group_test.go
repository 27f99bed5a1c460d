// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestUndecided(t *testing.T) {
	decided := history{
		{Shard: "1", Kind: started, At: at(1), replica: "a"},
		{Shard: "2", Kind: started, At: at(2), replica: "b"},
		{Shard: "2", Kind: watching, At: at(3), replica: "a"},
		{Shard: "1", Kind: watching, At: at(4), replica: "b"},
	}
	then := func(more ...event) history { return append(slices.Clone(decided), more...) }
	for _, test := range []struct {
		name     string
		history  history
		replicas []string
		want     string
	}{
		{"nothing happened", nil, []string{"a", "b"}, "0 of 2 shards are worked for"},
		{"everybody knows", decided, []string{"a", "b"}, ""},
		{"one does not know yet", decided[:3], []string{"a", "b"}, "b knows the holders of 1 of 2 shards"},
		{"a third has not come that far", decided, []string{"a", "b", "c"}, "c knows the holders of 0 of 2 shards"},
		{"somebody else holds one", decided, []string{"a"}, "1 of 2 shards are worked for"},
		{"one is given up", then(event{Shard: "2", Kind: stopped, At: at(5), replica: "b"}), []string{"a", "b"}, "1 of 2 shards are worked for"},
		{
			"it is taken before its end is noted",
			then(event{Shard: "2", Kind: started, At: at(5), replica: "a"}, event{Shard: "2", Kind: stopped, At: at(6), replica: "b"}),
			[]string{"a", "b"},
			"",
		},
		{"one is killed", then(event{Kind: killed, At: at(5), replica: "b"}), []string{"a", "b"}, "1 of 2 shards are worked for"},
		{
			"and starts again knowing nothing",
			then(event{Kind: killed, At: at(5), replica: "b"}, event{Shard: "2", Kind: started, At: at(6), replica: "a"}),
			[]string{"a", "b"},
			"b knows the holders of 0 of 2 shards",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := test.history.undecided(2, test.replicas); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// With electors, too, all has been decided for a while: every change begins that anew.
func TestAwaitDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "events")
		n, err := openNotes(path)
		if err != nil {
			t.Fatal(err)
		}
		defer n.file.Close()
		g := &group{name: "g", shards: 1, logs: []*eventLog{{path: path, replica: "a"}}}
		began := time.Now()
		n.note(started, "1")
		time.AfterFunc(2*time.Second, func() {
			n.note(stopped, "1")
			n.note(started, "1")
		})
		if err := g.awaitDecided(t.Context(), clientGo, 3*time.Second, "a"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 5*time.Second || took > 5*time.Second+2*eventsPoll {
			t.Errorf("it took %s, want 3 s from the change after 2 s", took)
		}
	})
}
