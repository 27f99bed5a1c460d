// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// pieces are the numbers of buckets that are tried: powers of two, and others.
var pieces = []int{1, 2, 3, 4, 5, 7, 10, 16, 100, 255, MaxBuckets}

// bucketsOf are those of a partition into n; one is all there is.
func bucketsOf(n int, by Partition) []Bucket { return partitioning(n, by).buckets() }

func TestBucketsDivideAllPositions(t *testing.T) {
	for _, n := range pieces {
		next := uint64(0) // the first position that no bucket has had so far
		for _, b := range bucketsOf(n, ByUID) {
			first, last := b.Bounds()
			if uint64(first) != next || last < first {
				t.Errorf("%d buckets: %q is from %08x to %08x, want it from %08x on", n, b, first, last, next)
			}
			for _, position := range []uint32{first, last, first + (last-first)/2} {
				if !b.Contains(position) {
					t.Errorf("%d buckets: %q does not contain %08x, which is within its bounds", n, b, position)
				}
			}
			if n > 1 && (b.Contains(first-1) || b.Contains(last+1)) { // beyond the ends it is the other end
				t.Errorf("%d buckets: %q contains a position out of its bounds", n, b)
			}
			next = uint64(last) + 1
		}
		if next != 1<<32 {
			t.Errorf("%d buckets end at %08x", n, next-1)
		}
	}
}

func TestBucketsOfOneSizeDifferByOnePositionAtMost(t *testing.T) {
	for _, n := range pieces {
		for _, b := range bucketsOf(n, ByKey) {
			first, last := b.Bounds()
			if size := uint64(last) - uint64(first) + 1; size != 1<<32/uint64(n) && size != 1<<32/uint64(n)+1 {
				t.Errorf("%q has %d positions", b, size)
			}
		}
	}
}

func TestBucketsOverlapIfTheyShareAPosition(t *testing.T) {
	for _, n := range pieces {
		for _, m := range pieces {
			for _, a := range bucketsOf(n, ByUID) {
				for _, b := range bucketsOf(m, ByUID) {
					first, last := b.Bounds()
					shares := a.Contains(first) || a.Contains(last)
					if from, to := a.Bounds(); first < from && to < last {
						shares = true
					}
					if got := a.Overlaps(b); got != shares || b.Overlaps(a) != got {
						t.Fatalf("%q overlaps %q: %t, and the other way round %t, want %t", a, b, got, b.Overlaps(a), shares)
					}
				}
			}
		}
	}
}

func TestBucketsOverlapAllOfAnotherPartition(t *testing.T) {
	for _, other := range []Bucket{{}, {Index: 1, Of: 2, By: ByKey}, {Index: 1, Of: 2, By: ByNamespace}} {
		if b := (Bucket{Index: 0, Of: 2, By: ByUID}); !b.Overlaps(other) || !other.Overlaps(b) {
			t.Errorf("%q by %s does not overlap %q by %s, of which nothing is known", b, b.By, other, other.By)
		}
	}
}

func TestPositionByUIDIsItsFirstDigits(t *testing.T) {
	for _, tc := range []struct {
		uid  types.UID
		want uint32
	}{
		{"00000000-0000-4000-8000-000000000000", 0},
		{"ffffffff-0000-4000-8000-000000000000", 1<<32 - 1},
		{"8c0ffee0-1234-4000-8000-000000000000", 0x8c0ffee0},
		{"8C0FFEE0-1234-4000-8000-000000000000", 0x8c0ffee0},
	} {
		if got := ByUID.Position(tc.uid, "ns", "name"); got != tc.want {
			t.Errorf("%s is at %08x, want %08x", tc.uid, got, tc.want)
		}
	}
	for _, uid := range []types.UID{"", "short", "not hexadecimal at all", "+1234567-is-no-digits"} {
		if got := ByUID.Position(uid, "ns", "name"); got != hashed(string(uid)) {
			t.Errorf("%q is at %08x, want its hash", uid, got)
		}
	}
}

func TestPositionGoesByWhatThePartitionSays(t *testing.T) {
	const uid, another = types.UID("00000000-0000-4000-8000-000000000000"), types.UID("ffffffff-0000-4000-8000-000000000000")
	for _, tc := range []struct {
		by   Partition
		same bool
		what string
		a, b uint32
	}{
		{ByKey, true, "a name that is used again", ByKey.Position(uid, "ns", "a"), ByKey.Position(another, "ns", "a")},
		{ByKey, false, "two names", ByKey.Position(uid, "ns", "a"), ByKey.Position(uid, "ns", "b")},
		{ByKey, false, "one name in two namespaces", ByKey.Position(uid, "ns", "a"), ByKey.Position(uid, "other", "a")},
		{ByKey, false, "a namespace and a name that make one text", ByKey.Position(uid, "a", "bc"), ByKey.Position(uid, "ab", "c")},
		{ByNamespace, true, "two names", ByNamespace.Position(uid, "ns", "a"), ByNamespace.Position(another, "ns", "b")},
		{ByNamespace, false, "two namespaces", ByNamespace.Position(uid, "ns", "a"), ByNamespace.Position(uid, "other", "a")},
		{ByUID, false, "a name that is used again", ByUID.Position(uid, "ns", "a"), ByUID.Position(another, "ns", "a")},
	} {
		if (tc.a == tc.b) != tc.same {
			t.Errorf("by %s, %s: positions %08x and %08x", tc.by, tc.what, tc.a, tc.b)
		}
	}
}

// Names as people give them differ in a digit or two at their ends. The hash has
// to spread them as if they were random: the sum of the squares of what the
// buckets deviate from their share, over the share, is about the number of buckets
// then (Pearson's chi-squared test); the bound is one that random keys exceed once
// in ten million times.
func TestPositionsOfRealisticNamesAreEven(t *testing.T) {
	const keys = 10_000
	long := strings.Repeat("a-long-prefix-that-all-of-them-share-", 4)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, tc := range []struct {
		name string
		by   Partition
		key  func(i int) (namespace, name string)
	}{
		{"numbered names", ByKey, func(i int) (string, string) { return "default", fmt.Sprintf("name-%d", i) }},
		{"numbered names of one length", ByKey, func(i int) (string, string) { return "default", fmt.Sprintf("name-%05d", i) }},
		{"a long prefix", ByKey, func(i int) (string, string) { return "default", fmt.Sprint(long, i) }},
		{"a long suffix", ByKey, func(i int) (string, string) { return "default", fmt.Sprint(i, "-", long) }},
		{"one name in numbered namespaces", ByKey, func(i int) (string, string) { return fmt.Sprintf("team-%d", i), "main" }},
		{"few names in few namespaces", ByKey, func(i int) (string, string) { return fmt.Sprintf("team-%d", i/100), fmt.Sprintf("app-%d", i%100) }},
		{"cluster-scoped", ByKey, func(i int) (string, string) { return "", fmt.Sprintf("node-%d.example.com", i) }},
		{"names with random ends", ByKey, func(int) (string, string) { return "default", fmt.Sprintf("web-6d4cf56db6-%05x", rng.Uint32()>>12) }},
		{"numbered namespaces", ByNamespace, func(i int) (string, string) { return fmt.Sprintf("team-%d", i), "main" }},
		{"namespaces with a long prefix", ByNamespace, func(i int) (string, string) { return fmt.Sprint(long[:50], i), "main" }},
	} {
		for _, n := range pieces[1:] {
			got := make([]int, n)
			buckets := bucketsOf(n, tc.by)
			for i := range keys {
				namespace, name := tc.key(i)
				position := tc.by.Position("", namespace, name)
				for index, b := range buckets {
					if b.Contains(position) {
						got[index]++
					}
				}
			}
			if chi, most := chiSquared(got), unlikely(n-1); chi > most {
				t.Errorf("%s by %s, %d buckets: chi-squared is %.1f, want at most %.1f: %v", tc.name, tc.by, n, chi, most, got)
			}
		}
	}
}

// chiSquared is by how much counts deviate from being equal.
func chiSquared(counts []int) float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
	share, sum := float64(total)/float64(len(counts)), 0.0
	for _, n := range counts {
		sum += (float64(n) - share) * (float64(n) - share) / share
	}
	return sum
}

// unlikely is what chi-squared with so many degrees of freedom exceeds once in ten
// million times, by the approximation of Wilson and Hilferty (1931).
func unlikely(freedom int) float64 {
	const deviations = 5.2 // of a normal distribution
	f := float64(freedom)
	root := 1 - 2/(9*f) + deviations*math.Sqrt(2/(9*f))
	return f * root * root * root
}

func TestShardNamesAreReadBack(t *testing.T) {
	for _, family := range []string{"widgets.example.com", "pods", "nightly"} {
		for _, n := range pieces {
			for _, b := range bucketsOf(n, ByUID) {
				b.By = "" // is not in the name
				name := ShardName(family, b)
				if f, got := ParseShardName(name); f != family || got != b {
					t.Errorf("%s is read as %v of %s, want %v of %s", name, got, f, b, family)
				}
			}
		}
	}
}

func TestShardNamesThatAreNoBuckets(t *testing.T) {
	for _, name := range []string{
		"widgets.example.com", "pods", "", ".", "0-of-4", "w.0-of-1", "w.4-of-4", "w.-1-of-4", "w.00-of-4", "w.0-of-04", "w.+0-of-4", "w.0-of-257", "w.0-of-", "w.-of-4", "w.0-of-4.x",
	} {
		if family, b := ParseShardName(name); family != name || b != (Bucket{}) {
			t.Errorf("%q is read as bucket %v of %q", name, b, family)
		}
	}
}
