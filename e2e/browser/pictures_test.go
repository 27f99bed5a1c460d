// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/dashboard/scene"
	"github.com/shardctl/shardctl/pkg/lease"
)

// maxPicture is how large a picture in the documentation may be, in bytes.
const maxPicture = 200_000

// The pictures of the documentation. Without -update it is only seen that they could be
// taken, and are small.
func TestPictures(t *testing.T) {
	needChrome(t)
	server := eventful(t)
	dir := t.TempDir()
	if *update {
		root, err := fleet.SourceRoot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(root, "docs", "images")
	}
	for name, on := range map[string]screen{"dashboard": tall(desktop), "dashboard-dark": tall(dark), "dashboard-phone": tall(phone)} {
		t.Run(name, func(t *testing.T) {
			tb := open(t, server.URL, on)
			tb.await(t, "the take-over is told", `document.querySelector('.entry[data-kind="taken-over"]') !== null`)
			picture, err := chromedp.Run(tb.ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(err)
			}
			if picture, err = fewColours(picture); err != nil {
				t.Fatal(err)
			}
			if len(picture) > maxPicture {
				t.Errorf("the picture has %d bytes, want at most %d", len(picture), maxPicture)
			}
			if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// tall is a screen with more room, to show more in one picture.
func tall(s screen) screen {
	s.height = s.height * 5 / 4
	return s
}

// fewColours makes a picture smaller: the colours that are used most are kept, all others become the nearest of those.
func fewColours(picture []byte) ([]byte, error) {
	decoded, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, fmt.Errorf("decode the picture: %w", err)
	}
	area, used := decoded.Bounds(), map[color.Color]int{}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			used[decoded.At(x, y)]++
		}
	}
	palette := slices.SortedFunc(maps.Keys(used), func(a, b color.Color) int { return used[b] - used[a] })
	small := image.NewPaletted(area, color.Palette(palette[:min(len(palette), 256)]))
	nearest := map[color.Color]uint8{}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			c := decoded.At(x, y)
			i, known := nearest[c]
			if !known {
				i = uint8(small.Palette.Index(c)) //nolint:gosec // of 256
				nearest[c] = i
			}
			small.SetColorIndex(x, y, i)
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, small); err != nil {
		return nil, fmt.Errorf("encode the picture: %w", err)
	}
	return out.Bytes(), nil
}

// eventful serves the page of a group in which a bit of everything has happened.
func eventful(t *testing.T) *httptest.Server {
	t.Helper()
	const lost, stuck = "widgets-operator-6d5c9bd4f-b2c9t", "gizmos.example.com"
	s := scene.New()
	all := append(slices.Clone(pods), lost)
	shards := someShards(family{"widgets.example.com", 6}, family{"gadgets.example.com", 4}, family{stuck, 1}, family{"nightly-report", 1})
	s.Make(shards...)
	s.Join(all...)
	s.Backdate(74 * time.Minute)
	for i, name := range shards {
		s.Claim(name, all[i%len(all)])
	}
	load := func(pod string, loads map[string]int64) {
		s.Annotate(scene.Member(pod), lease.AnnotationLoad, loadOf(loads))
	}
	load(pods[0], map[string]int64{shards[0]: 450, shards[4]: 400, shards[8]: 350})
	load(pods[1], map[string]int64{shards[1]: 500, shards[5]: 250, shards[9]: 300})
	load(pods[2], map[string]int64{shards[2]: 400, shards[6]: 300, stuck: 50})
	s.Annotate(scene.Member(pods[2]), lease.AnnotationProblems, `{"`+stuck+`":"3 objects fail, last default/large: the hook answered 500: no paint left"}`)
	beat(t, s, pods...)
	s.Backdate(0)
	server := serve(t, s)
	// One after the other, so that each is told by itself.
	awaitTold(t, server, 0)
	s.Annotate(scene.Shard(shards[4]), lease.AnnotationPinned, pods[1])
	s.HandOver(shards[4], pods[1])
	awaitTold(t, server, 1)
	s.HandOver(shards[5], pods[0])
	awaitTold(t, server, 2)
	s.End(lost)
	awaitTold(t, server, 3)
	s.Claim(shards[3], pods[2])
	s.Claim(shards[7], pods[2])
	awaitTold(t, server, 5)
	return server
}
