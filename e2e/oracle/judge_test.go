// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Each history ends with the write that it is about; the words are those of the error that it has to be, if any.
func TestJudgeWrites(t *testing.T) {
	for _, test := range []struct {
		name   string
		story  func(s *story)
		config func(c *Config)
		want   []string
	}{
		{name: "the holder writes", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("a", lowUID)
		}},
		{name: "another replica writes", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("b", lowUID)
		}, want: []string{"1 writes", "revision 2: b (b-uid) wrote widgets.demo.example.com ns/w-1", `held by "a_a-uid_controller.boot.1", since revision 1, 10ms before`}},
		{name: "the former holder writes right after the hand-over", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("a", lowUID)
			s.leaseBy("a", whole, &Lease{Holder: session("b")})
			s.widget("a", lowUID)
		}, want: []string{"1 writes", "revision 4: a"}},
		{name: "the former holder writes right before the hand-over", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("a", lowUID)
			s.leaseBy("a", whole, &Lease{Holder: session("b")})
		}},
		{name: "the new holder writes before the hand-over", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("b", lowUID)
			s.lease(whole, "b")
		}, want: []string{"revision 2: b"}},
		{name: "a replica writes once it has given the shard back", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("a", whole, &Lease{})
			s.widget("a", lowUID)
		}, want: []string{"revision 3: a", `shard "widgets.demo.example.com" was held by "", since revision 2`}},
		{name: "a replica writes what was never anybody's", story: func(s *story) {
			s.widget("a", lowUID)
		}, want: []string{"revision 1: a", `shard ""`}},
		{name: "a replica writes after the Lease was deleted", story: func(s *story) {
			s.lease(whole, "a")
			s.add("", Key{leases, "ns", "demo." + whole}, nil)
			s.widget("a", lowUID)
		}, want: []string{"revision 3: a"}},
		{name: "somebody else writes", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("", lowUID)
		}},
		{name: "a later session of the Pod writes", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("a", whole, &Lease{Holder: "a_a-uid_controller.boot.2"})
			s.widget("a", lowUID)
		}},
		{name: "each bucket's holder writes what is in it", story: func(s *story) {
			s.lease(low, "a")
			s.lease(high, "b")
			s.widget("a", lowUID)
			s.widget("b", highUID)
		}},
		{name: "the holder of the other bucket writes", story: func(s *story) {
			s.lease(low, "a")
			s.lease(high, "b")
			s.widget("b", lowUID)
		}, want: []string{"1 writes", "revision 3: b", `shard "widgets.demo.example.com.0-of-2"`}},
		{name: "the Lease says that buckets go by namespace", story: func(s *story) {
			at := lease.ByNamespace.Position("", "ns", "")
			of := map[bool]string{lease.Bucket{Index: 0, Of: 2}.Contains(at): low, lease.Bucket{Index: 1, Of: 2}.Contains(at): high}
			s.leaseBy("a", of[true], &Lease{Holder: session("a"), Partition: lease.ByNamespace})
			s.leaseBy("b", of[false], &Lease{Holder: session("b"), Partition: lease.ByNamespace})
			s.widget("a", lowUID)
			s.widget("a", highUID)
			s.child("a", highUID)
		}},
		{name: "the rule says that buckets go by key, the Lease nothing", config: func(c *Config) { c.Types[0].Partition = lease.ByKey }, story: func(s *story) {
			of := low
			if !(lease.Bucket{Index: 0, Of: 2}).Contains(lease.ByKey.Position("", "ns", "w-1")) {
				of = high
			}
			s.lease(of, "a")
			s.widget("a", lowUID)
			s.child("a", lowUID)
		}},
		{name: "the child is written by the holder of its owner's bucket", story: func(s *story) {
			s.lease(low, "a")
			s.lease(high, "b")
			s.child("b", highUID)
		}},
		{name: "the child is written by another", story: func(s *story) {
			s.lease(low, "a")
			s.lease(high, "b")
			s.child("a", highUID)
		}, want: []string{"1 writes", "wrote configmaps ns/c-f", "1-of-2"}},
		{name: "the child is taken from its owner by another", story: func(s *story) {
			s.lease(low, "a")
			s.lease(high, "b")
			s.child("b", highUID)
			s.add("a", Key{configMaps, "ns", "c-f"}, &Object{UID: "child", Settled: true})
		}, want: []string{"1 writes", "revision 4: a"}},
		{name: "the child is known by an annotation", story: func(s *story) {
			s.lease(low, "a")
			s.lease(high, "b")
			s.add("a", Key{configMaps, "ns", "c"}, &Object{UID: "child", Owner: whole + "/" + string(highUID) + "/elsewhere/w"})
		}, want: []string{"1 writes", "1-of-2"}},
		{name: "the child of another group's object is nobody's", story: func(s *story) {
			s.lease(whole, "a")
			s.add("b", Key{configMaps, "ns", "c"}, &Object{UID: "child", Controller: &metav1.OwnerReference{APIVersion: "other.example.com/v1", Kind: "Widget", UID: lowUID}})
		}},
		{name: "the garbage collector updates and deletes a child", story: func(s *story) {
			s.lease(whole, "a")
			s.child("a", lowUID)
			s.child("", lowUID)
			s.add("", Key{configMaps, "ns", "c-1"}, nil)
		}},
		{name: "the holder deletes", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("a", lowUID)
			s.add("a", widgetKey(lowUID), nil)
		}},
		{name: "another replica deletes", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("a", lowUID)
			s.add("b", widgetKey(lowUID), nil)
		}, want: []string{"1 writes", "b (b-uid) deleted"}},
		{name: "another replica deletes a child", story: func(s *story) {
			s.lease(whole, "a")
			s.child("a", lowUID)
			s.add("b", Key{configMaps, "ns", "c-1"}, nil)
		}, want: []string{"1 writes", "b (b-uid) deleted"}},
		{name: "a sealed Lease has no say, the new layout's has", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("a", whole, &Lease{Holder: session("a"), Abstains: true})
			s.lease(low, "b")
			s.widget("b", lowUID)
		}},
		{name: "the holder of a sealed Lease writes", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("a", whole, &Lease{Holder: session("a"), Abstains: true})
			s.widget("a", lowUID)
		}, want: []string{"revision 3: a"}},
		{name: "two layouts are in force", story: func(s *story) {
			s.lease(whole, "a")
			s.lease(low, "b")
			s.widget("b", lowUID)
		}, want: []string{"1 writes", `shard "widgets.demo.example.com" was held by "a_`}},
		{name: "two layouts are in force, by the same replica", story: func(s *story) {
			s.lease(whole, "a")
			s.lease(low, "a")
			s.widget("a", lowUID)
		}},
		{name: "another group's Leases and objects are not ours", story: func(s *story) {
			s.lease(whole, "a")
			s.add("b", Key{leases, "ns", "other." + whole}, &Object{UID: "lease", Lease: &Lease{Holder: session("b")}})
			s.add("b", Key{leases, "elsewhere", "demo." + whole}, &Object{UID: "lease", Lease: &Lease{Holder: session("b")}})
			s.add("b", Key{leases, "ns", "demo.member-b-uid.controller"}, &Object{UID: "lease", Lease: &Lease{Holder: session("b")}})
			s.add("b", Key{widgets, "elsewhere", "w"}, &Object{UID: lowUID, Settled: true})
			s.widget("a", lowUID)
		}},
		{name: "holders are called as an elector likes", config: func(c *Config) {
			c.PodOf = func(holder string) types.UID { return types.UID(holder + "-uid") }
		}, story: func(s *story) {
			s.leaseBy("a", whole, &Lease{Holder: "a"})
			s.widget("a", lowUID)
			s.widget("b", lowUID)
		}, want: []string{"1 writes", `held by "a"`}},
		{name: "nobody can be said to have written", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("a", lowUID).Evidence = Nobody
		}, want: []string{"1 writes that nobody", "revision 2"}},
		{name: "nobody can be said to have deleted", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("a", lowUID)
			s.add("a", widgetKey(lowUID), nil).Evidence = Nobody
		}, want: []string{"1 writes that nobody", "revision 3"}},
		{name: "nobody can be said to have deleted what replicas must not", config: func(c *Config) { c.Types[0].NeverDeletes = true }, story: func(s *story) {
			s.lease(whole, "a")
			s.widget("a", lowUID)
			s.add("a", widgetKey(lowUID), nil).Evidence = Nobody
		}},
		{name: "a write by its own word is judged like any", story: func(s *story) {
			s.lease(whole, "a")
			s.widget("b", lowUID).Evidence = ByOwnWord
		}, want: []string{"1 writes of a replica", "known by its own word"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c := newStory(), testConfig()
			test.story(s)
			if test.config != nil {
				test.config(&c)
			}
			revision, _ := s.now()
			checkErr(t, Judge(c, s.History, Window{To: revision}).Err(), test.want...)
		})
	}
}

func TestClusterScopedObjects(t *testing.T) {
	c := testConfig()
	c.Types[0].ClusterScoped, c.Types[0].Partition = true, lease.ByKey
	holder, other := low, high
	if !(lease.Bucket{Index: 0, Of: 2}).Contains(lease.ByKey.Position("", "", "w-1")) {
		holder, other = high, low
	}
	s := newStory()
	s.lease(holder, "a")
	s.lease(other, "b")
	s.add("a", Key{widgets, "", "w-1"}, &Object{UID: lowUID, Settled: true})
	s.child("a", lowUID)
	v := Judge(c, s.History, Window{To: 9})
	checkErr(t, v.Err())
	if v.Writes != 2 {
		t.Errorf("%d writes were judged, want 2", v.Writes)
	}
}

func TestWritesAreCounted(t *testing.T) {
	s := newStory()
	s.lease(whole, "a")
	s.widget("", lowUID)
	s.widget("a", lowUID)
	s.widget("a", lowUID).Evidence = ByOwnWord
	s.widget("a", lowUID).Evidence = ByRequest
	s.widget("", lowUID).Evidence = ByOwnWord
	v := s.judge()
	if v.Writes != 3 || v.ByOwnWord != 1 || v.ByRequest != 1 {
		t.Errorf("%d writes, %d by their own word and %d by request; want 3, 1, 1", v.Writes, v.ByOwnWord, v.ByRequest)
	}
}

// What was before the window counts for who holds what, and for nothing else.
func TestWindow(t *testing.T) {
	s := newStory()
	s.lease(whole, "a")                                 // 1
	s.widget("b", lowUID)                               // 2: before the window
	s.leaseBy("a", whole, &Lease{Holder: session("b")}) // 3: before the window
	s.widget("a", lowUID)                               // 4
	s.widget("b", lowUID)                               // 5
	s.widget("a", highUID)                              // 6: after the window
	v := Judge(testConfig(), s.History, Window{From: 3, To: 5})
	if v.Writes != 2 || len(v.Overlapping) != 1 || v.Overlapping[0].Write.Revision != 4 || len(v.TakeOvers) != 0 {
		t.Errorf("writes %d, overlapping %v, take-overs %v; want 2, that of revision 4, none", v.Writes, v.Overlapping, v.TakeOvers)
	}
}

func TestTakeOvers(t *testing.T) {
	for _, test := range []struct {
		name  string
		story func(s *story)
		want  []TakeOver // without times
	}{
		{name: "none", story: func(s *story) {
			s.lease(whole, "a")
			s.lease(whole, "a")
		}},
		{name: "given away", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("a", whole, &Lease{Holder: session("b")})
		}, want: []TakeOver{{Shard: whole, From: session("a"), To: session("b"), Revision: 2, Given: true}}},
		{name: "taken", story: func(s *story) {
			s.lease(whole, "a")
			s.lease(whole, "b")
		}, want: []TakeOver{{Shard: whole, From: session("a"), To: session("b"), Revision: 2}}},
		{name: "given back, then taken", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("a", whole, &Lease{})
			s.lease(whole, "b")
		}, want: []TakeOver{{Shard: whole, From: session("a"), To: session("b"), Revision: 3, Given: true}}},
		{name: "given back, then taken back", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("a", whole, &Lease{})
			s.lease(whole, "a")
		}},
		{name: "taken away and left to nobody", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("", whole, &Lease{})
			s.lease(whole, "b")
		}, want: []TakeOver{{Shard: whole, From: session("a"), To: session("b"), Revision: 3}}},
		{name: "by the Pod's own next session", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("a", whole, &Lease{Holder: "a_a-uid_controller.next.1"})
		}, want: []TakeOver{{Shard: whole, From: session("a"), To: "a_a-uid_controller.next.1", Revision: 2}}},
		{name: "by an unknown writer, who says that it was left in order", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("", whole, &Lease{Holder: session("b"), Left: storyBegan}).Evidence = Nobody
		}, want: []TakeOver{{Shard: whole, From: session("a"), To: session("b"), Revision: 2, Given: true}}},
		{name: "by an unknown writer, who says nothing", story: func(s *story) {
			s.lease(whole, "a")
			s.leaseBy("", whole, &Lease{Holder: session("b")}).Evidence = Nobody
		}, want: []TakeOver{{Shard: whole, From: session("a"), To: session("b"), Revision: 2}}},
		{name: "after the Lease was deleted", story: func(s *story) {
			s.lease(whole, "a")
			s.add("", Key{leases, "ns", "demo." + whole}, nil)
			s.lease(whole, "b")
		}, want: []TakeOver{{Shard: whole, From: session("a"), To: session("b"), Revision: 3}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStory()
			test.story(s)
			v := s.judge()
			if len(v.TakeOvers) != len(test.want) {
				t.Fatalf("take-overs %+v, want %+v", v.TakeOvers, test.want)
			}
			for i, want := range test.want {
				want.At = s.Writes[want.Revision-1].At
				if v.TakeOvers[i] != want {
					t.Errorf("take-over %+v, want %+v", v.TakeOvers[i], want)
				}
			}
		})
	}
}

func TestGaps(t *testing.T) {
	s := newStory()
	s.lease(whole, "a")   // 1
	s.widget("a", lowUID) // 2: the last
	s.child("", lowUID)   // 3: somebody else's
	s.lease(whole, "b")   // 4
	s.widget("a", lowUID) // 5: overlaps, and is no end of a gap
	s.lease(whole, "b")   // 6: a renewal
	s.child("b", lowUID)  // 7: the first
	s.widget("b", lowUID) // 8
	s.lease(whole, "a")   // 9: the second take-over since the fault, without a write
	v := Judge(testConfig(), s.History, Window{To: 9, Fault: storyBegan.Add(tick)})
	if got := Lengths(v.WriteGaps); len(got) != 1 || got[0] != 5*tick {
		t.Errorf("nobody wrote for %v, want %v", got, 5*tick)
	}
	if got := Lengths(v.HolderGaps); len(got) != 1 || got[0] != 3*tick || v.HolderGaps[0].To != session("b") {
		t.Errorf("until another held it: %v, want %v", v.HolderGaps, 3*tick)
	}
}

func TestUnreconciled(t *testing.T) {
	for _, test := range []struct {
		name  string
		story func(s *story)
		since int64 // revision; 0 if all is well
	}{
		{name: "a change is reconciled", story: func(s *story) {
			s.widget("", lowUID).Object.Settled = false
			s.widget("", lowUID)
		}},
		{name: "the last change is not", since: 2, story: func(s *story) {
			s.widget("", lowUID)
			s.widget("", lowUID).Object.Settled = false
			s.widget("", lowUID).Object.Settled = false
		}},
		{name: "it is deleted", story: func(s *story) {
			s.widget("", lowUID).Object.Settled = false
			s.add("", widgetKey(lowUID), nil)
		}},
		{name: "it is made again", since: 3, story: func(s *story) {
			s.widget("", lowUID).Object.Settled = false
			s.add("", widgetKey(lowUID), nil)
			s.widget("", lowUID).Object.Settled = false
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStory()
			test.story(s)
			s.lease(whole, "a")
			v := s.judge()
			if test.since == 0 {
				checkErr(t, v.Err())
				return
			}
			checkErr(t, v.Err(), "1 objects", "w-1")
			_, end := s.now()
			if u := v.Unreconciled[0]; u.Revision != test.since || u.For != end.Sub(s.Writes[test.since-1].At)-tick {
				t.Errorf("not reconciled since revision %d for %v, want since %d", u.Revision, u.For, test.since)
			}
		})
	}
}

func TestRefusalsAreOfTheirWindow(t *testing.T) {
	s := newStory()
	for range 4 {
		s.widget("", lowUID)
	}
	at := func(revision int64) time.Time { return s.Writes[revision-1].At }
	s.Refusals = []Refusal{
		{At: at(1), Writer: pod("a"), Resource: widgets, Namespace: "ns"},
		{At: at(2), Writer: pod("a"), Resource: widgets, Namespace: "ns"}, // in the first window, not in the second
		{At: at(2).Add(1), Writer: pod("a"), Resource: widgets, Namespace: "ns"},
		{At: at(3), Writer: pod("a"), Resource: widgets, Namespace: "ns"},
		{At: at(3), Writer: pod("b"), Resource: configMaps, Namespace: "ns"},
		{At: at(3), Writer: pod("a"), Resource: widgets, Namespace: "elsewhere"},
		{At: at(3), Writer: pod("a"), Resource: schema.GroupResource{Resource: "secrets"}, Namespace: "ns"},
	}
	v := Judge(testConfig(), s.History, Window{From: 2, To: 4})
	if v.Refused != 3 || v.RefusedOf[Refused{"a-uid", widgets}] != 2 || v.RefusedOf[Refused{"b-uid", configMaps}] != 1 {
		t.Errorf("refused %d: %v, want 2 widgets of a and 1 ConfigMap of b", v.Refused, v.RefusedOf)
	}
	if v := Judge(testConfig(), s.History, Window{To: 2}); v.Refused != 2 {
		t.Errorf("refused %d before, want 2", v.Refused)
	}
}

func TestProved(t *testing.T) {
	whole := Verdict{Writes: 1, TakeOvers: make([]TakeOver, 1), Refused: 1}
	checkErr(t, whole.Proved())
	locally := whole
	locally.Refused, locally.RefusedLocally = 0, 1
	checkErr(t, locally.Proved())
	checkErr(t, Verdict{}.Proved(), "nothing is proved", "no replica wrote", "no shard was taken over", "no write was refused")
	still := whole
	still.TakeOvers = nil
	checkErr(t, still.Proved(), "nothing is proved: no shard was taken over")
	unrefused := whole
	unrefused.Refused = 0
	checkErr(t, unrefused.Proved(), "nothing is proved: no write was refused")
}
