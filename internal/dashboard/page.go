// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"time"
)

//go:embed assets
var assets embed.FS

// policy lets the page load its own files and nothing else, run no script and
// apply no style that stands in its HTML, and be framed by nobody.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guarded sets what holds for all answers.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// contentTypes are those of the files, whatever the machine's own table says.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// page is a file that is served.
type page struct {
	name, contentType, etag string
	body                    []byte
}

// pages are all files by the pattern of their path. It panics if a file cannot be
// served, which any test would show.
func pages() map[string]page {
	entries, err := assets.ReadDir("assets")
	if err != nil {
		panic(fmt.Sprintf("dashboard: %v", err))
	}
	all := map[string]page{}
	for _, entry := range entries {
		name := "assets/" + entry.Name()
		body, err := assets.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("dashboard: %v", err))
		}
		contentType, ok := contentTypes[path.Ext(name)]
		if !ok {
			panic("dashboard: no content type for " + name)
		}
		sum := sha256.Sum256(body)
		pattern := "/" + name
		if entry.Name() == "index.html" {
			pattern = "/{$}"
		}
		all[pattern] = page{name: name, contentType: contentType, etag: `"` + hex.EncodeToString(sum[:8]) + `"`, body: body}
	}
	return all
}

// ServeHTTP answers that nothing has changed to whoever has the file already. They
// ask each time, so that all files are of one version.
func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", p.contentType)
	header.Set("ETag", p.etag)
	header.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, p.name, time.Time{}, bytes.NewReader(p.body))
}
