// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/shardctl/shardctl/pkg/lease"
)

// This is lease.Partition.Position in the API server's expression language. It is the same number for
// every UID, namespace and name; the tests on a real API server compare.

const (
	hashPrime    = 1<<31 - 1
	lengthWeight = 97
	alphabet     = "-./:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

	// tabulated is how many characters have their weights in a table: namespace, slash and name, as
	// long as most types allow.
	tabulated = 63 + 1 + 253
)

// inBucket is whether the Lease's bucket has object k: a list of its UID, namespace and name. What has
// no UID, where that counts, is in every bucket.
func inBucket(whole string) string {
	named := "p in " + list(string(lease.ByKey), string(lease.ByNamespace))
	text := fmt.Sprintf("p == '%s' ? k[1] : p == '%s' ? k[1] + '/' + k[2] : k[0]", lease.ByNamespace, lease.ByKey)
	position := fmt.Sprintf("!(%s) && u.matches('^[0-9a-f]{8}') ? %s :\n!(%s) && u == '' || %s", named, at(hexadecimal("u")), named, hashed(text))
	return fmt.Sprintf("(params.metadata.name == '%s' ||\n%s)", whole,
		let("b", fmt.Sprintf("params.metadata.name.substring(%d).split('-of-').map(n, int(n))", len(whole)+1),
			let("p", annotation(lease.AnnotationPartition), let("u", "k[0].lowerAscii()", position))))
}

// at is whether a position is in bucket b, a list of its index and how many there are.
func at(position string) string {
	return fmt.Sprintf("(%s) * b[1] / 4294967296 == b[0]", position)
}

// hexadecimal is the number that the first eight digits of a text are.
func hexadecimal(text string) string {
	digits := make([]string, 8)
	for i := range digits {
		digits[i] = fmt.Sprintf("'0123456789abcdef'.indexOf(%s.charAt(%d)) * %d", text, i, 1<<(4*(len(digits)-1-i)))
	}
	return strings.Join(digits, " + ")
}

// hashed is whether the hash of a text is a position in bucket b.
func hashed(text string) string {
	return let("s", text,
		let("h", fmt.Sprintf("(s.split('').transformList(i, c, %s * %s[?c].orValue(1)).sum() + %d * s.size() + 1) %% %d",
			weightOf("i"), codes(), lengthWeight, hashPrime),
			let("q", fmt.Sprintf("h * h %% %d", hashPrime),
				at(fmt.Sprintf("q * q %% %d * h %% %d * 2", hashPrime, hashPrime)))))
}

// weightOf is the weight of the character at an index, which may be beyond the table: there are types
// whose names have no limit.
func weightOf(i string) string {
	weights := make([]string, tabulated)
	for i := range weights {
		weights[i] = strconv.FormatInt(weight(int64(i)), 10)
	}
	x := fmt.Sprintf("((%s * 1640531527 + 1013904223) %% %d)", i, hashPrime)
	square := fmt.Sprintf("(%s * %s %% %d)", x, x, hashPrime)
	return fmt.Sprintf("(%s < %d ? [%s][%s] : %s * %s %% %d * %s %% %d)",
		i, tabulated, strings.Join(weights, ","), i, square, square, hashPrime, x, hashPrime)
}

func weight(i int64) int64 {
	x := (i*1640531527 + 1013904223) % hashPrime
	square := x * x % hashPrime
	return square * square % hashPrime * x % hashPrime
}

// codes is a table of the characters that do not all count alike.
func codes() string {
	all := make([]string, 0, len(alphabet))
	for i, char := range alphabet {
		all = append(all, fmt.Sprintf("'%c':%d", char, i+2))
	}
	return "{" + strings.Join(all, ",") + "}"
}
