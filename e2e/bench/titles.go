// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
)

// situations are the parts that measure something of ours alone in several situations, whose names the figures begin with: a
// table has a column for each.
func situations() map[string][]string {
	var updated []string
	for _, w := range workloads() {
		updated = append(updated, w.name)
	}
	return map[string][]string{"assign": {"orphans", "stable", "join", "leave"}, "rollout": updated}
}

// subjects are the parts that measure the same of several things, whose names the figures end with: each has tables of its own.
func subjects() map[string][]string {
	return map[string][]string{"memory": {deployments().name, configMaps().name}}
}

// phrases are what stands in names for words that a name cannot have. They are replaced one after the other.
var phrases = []struct {
	in  *regexp.Regexp
	out string
}{
	{regexp.MustCompile(`\bclient go\b`), "client-go"},
	{regexp.MustCompile(`\bcontroller runtime\b`), "controller-runtime"},
	{regexp.MustCompile(`\bmanaged fields\b`), "managedFields"},
	{regexp.MustCompile(`\bapi\b`), "API"},
	{regexp.MustCompile(`\bcpu\b`), "CPU"},
	{regexp.MustCompile(`\bjson\b`), "JSON"},
	{regexp.MustCompile(`\bleases\b`), "Leases"},
	{regexp.MustCompile(`\bzipf\b`), "Zipf"},
	{regexp.MustCompile(`^get\b`), "GET"},
	{regexp.MustCompile(`^put\b`), "PUT"},
	{regexp.MustCompile(`^sum (\d+ shards) on (\d+ replicas)$`), "all verbs, $1, $2"},
	// Ratios.
	{regexp.MustCompile(`^time to stable time$`), "time, as a multiple of that of stable"},
	{regexp.MustCompile(` times ours (deployments|configmaps)$`), ", as a multiple of ours, of $1"},
	{regexp.MustCompile(` times ours\b`), ", as a multiple of ours"},
	{regexp.MustCompile(` times JSON\b`), ", as a multiple of the JSON"},
	{regexp.MustCompile(` times controller-runtime$`), ", as a multiple of controller-runtime's"},
	{regexp.MustCompile(`^scaleout (\d+ replicas)$`), "throughput of $1, as a multiple of that of one"},
	{regexp.MustCompile(`^scaleout (\d+ replicas) loads known$`), "throughput of $1 when loads are known, as a multiple of that of one"},
	// Sizes and cases.
	{regexp.MustCompile(` (\d+)( shards)? (\d+)( replicas)?$`), ", $1 shards, $3 replicas"},
	{regexp.MustCompile(` (\d+ types) (\d+ objects each)$`), ", $1, $2"},
	{regexp.MustCompile(` (\d+ types) (\d+ objects each) `), ", $1, $2: "},
	{regexp.MustCompile(`^(\d+ replicas) `), "$1: "},
	{regexp.MustCompile(`^empty reconciles (\d+ workers)\b,?`), "empty reconciles, $1,"},
	{regexp.MustCompile(`^scaleout (.*) (\d+ replicas)$`), "$1, $2"},
	{regexp.MustCompile(`^scaleout (.*) (\d+ replicas) loads known$`), "$1, $2, loads known"},
	{regexp.MustCompile(` of (\d+ shards) on (\d+ replicas)$`), ", $1, $2"},
	{regexp.MustCompile(` idle$`), ", idle"},
	{regexp.MustCompile(`^(crash|min ready \d+s|random victim|target unknown|slow stop|slow reply) `), "$1: "},
	{regexp.MustCompile(`\b1 (replica|worker)s\b`), "1 $1"},
	// Of many samples.
	{regexp.MustCompile(` (p50|median)\b`), ", median"},
	{regexp.MustCompile(` p(\d\d)\b`), ", ${1}th percentile"},
	{regexp.MustCompile(` max$`), ", maximum"},
	{regexp.MustCompile(` (best|kills|samples)$`), ", $1"},
}

// title is a name as it is put into a table: "gap_p99" is "gap, 99th percentile".
func title(name string) string {
	text := strings.ReplaceAll(name, "_", " ")
	for _, p := range phrases {
		text = p.in.ReplaceAllString(text, p.out)
	}
	return strings.TrimSuffix(strings.ReplaceAll(text, ",,", ","), ",")
}
