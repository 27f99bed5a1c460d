// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// textsOf are all texts of an SVG document, which has to be well-formed.
func textsOf(t *testing.T, document []byte) []string {
	t.Helper()
	var texts []string
	inText := false
	for decoder := xml.NewDecoder(bytes.NewReader(document)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
		case xml.EndElement:
			inText = false
		case xml.CharData:
			if inText {
				texts = append(texts, string(token))
			}
		}
	}
}

func TestPlots(t *testing.T) {
	made, err := madeUp().plots()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"requests": {
			"requests per second (logarithmic)", "200 shards, 10 replicas", "3330",
			"shardctl", "shardctl, lease mode", "client-go", "knative", "controller-runtime",
		},
		"gaps": {
			"Graceful hand-off", "Crash (SIGKILL); the lines on the left: the kubelet has reported it", "share of shards, %", "100 ms", "10 s",
			"shardctl", "shardctl, lease mode", "client-go", "knative", "controller-runtime",
		},
		"scaleout": {"replicas", "times the throughput of one", "5", "shardctl", "controller-runtime", "as much again with each"},
		"memory":   {"KB of heap per object", "dynamic informer", "controller-runtime, typed", "6.9"},
	} {
		document := made[plotFile(name)]
		texts := "\n" + strings.Join(textsOf(t, document), "\n") + "\n"
		for _, w := range want {
			if !strings.Contains(texts, "\n"+w+"\n") {
				t.Errorf("%s: %q is not among the texts%s", name, w, texts)
			}
		}
		if len(document) > 100_000 {
			t.Errorf("%s has %d bytes", name, len(document))
		}
	}
}

// What nothing was measured for is not drawn.
func TestPlotsOfLittle(t *testing.T) {
	r := madeUp()
	r.Parts = r.Parts[:1]
	if made, err := r.plots(); err != nil || len(made) != 0 {
		t.Errorf("%d plots were made, error %v", len(made), err)
	}
}

func TestPlotsAreTheSameEachTime(t *testing.T) {
	first, err := madeUp().plots()
	if err != nil {
		t.Fatal(err)
	}
	again, err := madeUp().plots()
	if err != nil {
		t.Fatal(err)
	}
	for name, document := range first {
		if !bytes.Equal(document, again[name]) {
			t.Errorf("%s is another", name)
		}
	}
}

func TestDecadesAround(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   decades
	}{
		{[]float64{0, 3, 40}, decades{1, 100}},
		{[]float64{0.02, 1}, decades{0.01, 1}},
		{[]float64{10}, decades{10, 100}},
		{[]float64{0, -1}, decades{1, 10}},
		{nil, decades{1, 10}},
	} {
		if got := decadesAround(test.values); got != test.want {
			t.Errorf("around %v are %v, want %v", test.values, got, test.want)
		}
	}
}

func TestDecadesAt(t *testing.T) {
	for v, want := range map[float64]float64{1: 0, 100: 2, 0: 0, -3: 0, 0.5: 0} {
		if got := (decades{1, 100}).at(v); got != want {
			t.Errorf("%v is at %v, want %v", v, got, want)
		}
	}
}
