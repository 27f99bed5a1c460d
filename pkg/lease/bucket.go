// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// MaxBuckets bounds how many buckets a family of shards has. Each is a Lease
// and an entry of the layout record.
const MaxBuckets = 256

// MaxShards bounds how many shards the types of one program may have in all: the
// layout record is one object, and while a family is divided anew it names the
// shards of both layouts.
const MaxShards = 1000

// Partition says how the keys of a family are divided into buckets.
type Partition string

// The partitions. Every key has a position in a space of 2^32; a bucket is a
// range of it.
const (
	// ByUID goes by the first eight hexadecimal digits of the object's UID, which
	// are random, so that buckets are even. It is the default. An object that is
	// deleted and made again under the same name may come to another bucket.
	ByUID Partition = "uid"
	// ByKey goes by a hash of namespace and name, joined by a slash.
	ByKey Partition = "key"
	// ByNamespace goes by a hash of the namespace: all keys of one stay together.
	// Cluster-scoped objects are all in one bucket.
	ByNamespace Partition = "namespace"
)

// Partitions are all there are.
func Partitions() []Partition { return []Partition{ByUID, ByKey, ByNamespace} }

// Bucket is which part of a family's keys a shard is. The zero Bucket is all of
// them.
type Bucket struct {
	// Index counts from 0 to Of-1; Of is 0 where the family is in one piece.
	Index, Of int
	// By is empty where the family is in one piece.
	By Partition
}

// String is how the bucket appears in names: i-of-n, or empty for all of the
// family.
func (b Bucket) String() string {
	if b.Of <= 1 {
		return ""
	}
	return strconv.Itoa(b.Index) + "-of-" + strconv.Itoa(b.Of)
}

// Contains tells whether a position is in the bucket's range.
func (b Bucket) Contains(position uint32) bool {
	return b.Of <= 1 || int(uint64(position)*uint64(b.Of)>>32) == b.Index
}

// Bounds are the first and the last position of the bucket's range.
func (b Bucket) Bounds() (first, last uint32) {
	if b.Of <= 1 {
		return 0, 1<<32 - 1
	}
	n := uint64(b.Of)
	from := (uint64(b.Index)<<32 + n - 1) / n
	to := (uint64(b.Index+1)<<32 + n - 1) / n
	return uint32(from), uint32(to - 1) //nolint:gosec // both are below 2^32, since Index < Of
}

// Overlaps tells whether some key may be in both: keys of different partitions
// cannot be compared.
func (b Bucket) Overlaps(other Bucket) bool {
	if b.Of <= 1 || other.Of <= 1 || b.By != other.By {
		return true
	}
	first, last := b.Bounds()
	otherFirst, otherLast := other.Bounds()
	return first <= otherLast && otherFirst <= last
}

// common is about how many thousandths of b's keys are in other, which overlaps b.
func (b Bucket) common(other Bucket) int64 {
	n := int64(max(1, other.Of))
	if b.By != other.By && b.Of > 1 {
		return 1000 / n
	}
	return min(1000, 1000*int64(max(1, b.Of))/n)
}

// Position is where an object's key is.
func (p Partition) Position(uid types.UID, namespace, name string) uint32 {
	switch p {
	case ByKey:
		return hashed(namespace + "/" + name)
	case ByNamespace:
		return hashed(namespace)
	default:
		if len(uid) >= 8 {
			if digits, err := strconv.ParseUint(string(uid[:8]), 16, 32); err == nil {
				return uint32(digits)
			}
		}
		return hashed(string(uid)) // not one that the API server makes
	}
}

// hashed spreads a text over all positions. It uses nothing but additions,
// multiplications and remainders of numbers below 2^63, so that the API server's
// expression language (CEL) computes the same: package fence has it in that form.
// The sum is multilinear (Carter, Wegman 1979) in the codes of the characters; the
// fifth power, a bijection modulo the prime, takes apart names that differ in
// their last characters only, which the sum leaves in equal distances.
func hashed(text string) uint32 {
	sum, i := int64(0), int64(0)
	for _, char := range text {
		sum += weight(i) * int64(strings.IndexRune(hashAlphabet, char)+2)
		i++
	}
	return uint32(fifthPower(((sum+lengthWeight*i)%hashPrime+1)%hashPrime)) * 2 //nolint:gosec // below 2^31
}

// weight is the factor of the character at an index, a fifth power: squares would
// have equal second differences, so that names with (1, 3, 3, 1) in the digits of
// the one and of the other would collide.
func weight(i int64) int64 { return fifthPower((i*1640531527 + 1013904223) % hashPrime) }

// fifthPower is a bijection modulo the prime.
func fifthPower(x int64) int64 {
	square := x * x % hashPrime
	return square * square % hashPrime * x % hashPrime
}

const (
	hashPrime    = 1<<31 - 1
	lengthWeight = 97
	// hashAlphabet has what names of objects are mostly made of. All other
	// characters count alike.
	hashAlphabet = "-./:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
)

// ShardName is the name of a bucket's shard: the family's, and i-of-n behind a
// dot if it is not in one piece.
func ShardName(family string, b Bucket) string {
	if s := b.String(); s != "" {
		return family + "." + s
	}
	return family
}

// ParseShardName takes a shard's name apart; which partition a bucket is of is
// not in it.
func ParseShardName(shard string) (family string, b Bucket) {
	i := strings.LastIndexByte(shard, '.')
	if i < 0 {
		return shard, Bucket{}
	}
	index, of, ok := strings.Cut(shard[i+1:], "-of-")
	if !ok {
		return shard, Bucket{}
	}
	n, err := strconv.Atoi(of)
	at, err2 := strconv.Atoi(index)
	if b = (Bucket{Index: at, Of: n}); err != nil || err2 != nil || n < 2 || n > MaxBuckets || at < 0 || at >= n || b.String() != shard[i+1:] {
		return shard, Bucket{}
	}
	return shard[:i], b
}

// Partitioning is how a family is divided: the zero value is in one piece.
type Partitioning struct {
	// Buckets is how many there are; 0 where the family is in one piece.
	Buckets int `json:"buckets,omitempty"`
	// By is how keys are divided; empty where the family is in one piece.
	By Partition `json:"by,omitempty"`
}

// partitioning brings what is configured into the one form that is compared.
func partitioning(buckets int, by Partition) Partitioning {
	if buckets <= 1 {
		return Partitioning{}
	}
	if by == "" {
		by = ByUID
	}
	return Partitioning{Buckets: buckets, By: by}
}

// valid tells whether p is in the one form that is compared.
func (p Partitioning) valid() bool {
	if p.Buckets == 0 {
		return p.By == ""
	}
	return p.Buckets > 1 && p.Buckets <= MaxBuckets && slices.Contains(Partitions(), p.By)
}

// buckets are all of them, in order.
func (p Partitioning) buckets() []Bucket {
	if p.Buckets <= 1 {
		return []Bucket{{}}
	}
	all := make([]Bucket, p.Buckets)
	for i := range all {
		all[i] = Bucket{Index: i, Of: p.Buckets, By: p.By}
	}
	return all
}

// overlapping are the first and the last of p's buckets that have a key in common
// with b.
func (p Partitioning) overlapping(b Bucket) (first, last int) {
	n := max(1, p.Buckets)
	if n == 1 || b.Of <= 1 || b.By != p.By {
		return 0, n - 1
	}
	from, to := b.Bounds()
	return int(uint64(from) * uint64(n) >> 32), int(uint64(to) * uint64(n) >> 32)
}

// String is for people: "4 by uid", or "one".
func (p Partitioning) String() string {
	if p.Buckets <= 1 {
		return "one"
	}
	return fmt.Sprintf("%d by %s", p.Buckets, p.By)
}
