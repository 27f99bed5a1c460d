// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"k8s.io/klog/v2"
)

// Check is one thing that has to be well.
type Check struct {
	// Name is what it is asked for and excluded by.
	Name string
	// Check says what is wrong, or returns nil. It returns at once, and is safe for
	// concurrent use.
	Check func() error
}

// Health answers 200 if all checks are well, else 503, always with the names of those
// that fail and why. The text is kube-apiserver's:
//
//	[+]loop ok
//	[-]renewal failed: it was sent 12s ago
//	livez check failed
//
// If all is well it is "ok"; with ?verbose it is as above. ?exclude=NAME leaves a check
// out, and may be repeated. Below a pattern with {check} only that one is asked.
//
// Kubelets keep to themselves what a probe has answered, so it is logged when other
// checks fail than before.
func Health(name string, checks []Check) http.Handler {
	return &health{name: name, checks: checks}
}

type health struct {
	name   string
	checks []Check

	mu   sync.Mutex
	told []string // those that failed when it was last logged
}

func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	checks := h.checks
	if only := r.PathValue("check"); only != "" {
		i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == only })
		if i < 0 {
			http.Error(w, fmt.Sprintf("there is no check of this name: use one of %s", strings.Join(h.names(), ", ")), http.StatusNotFound)
			return
		}
		checks = checks[i : i+1]
	}
	query := r.URL.Query()
	lines, failing := examine(checks, query["exclude"])
	if len(checks) == len(h.checks) && len(query["exclude"]) == 0 {
		h.tell(klog.FromContext(r.Context()), failing, lines)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch {
	case len(failing) > 0:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "%s\n%s check failed\n", strings.Join(lines, "\n"), h.name)
	case query.Has("verbose"):
		fmt.Fprintf(w, "%s\n%s check passed\n", strings.Join(lines, "\n"), h.name)
	default:
		fmt.Fprint(w, "ok")
	}
}

func (h *health) names() []string {
	names := make([]string, len(h.checks))
	for i, c := range h.checks {
		names[i] = c.Name
	}
	return names
}

// examine asks the checks, with a line for each, and names those that fail.
func examine(checks []Check, exclude []string) (lines, failing []string) {
	unmatched := slices.Clone(exclude)
	for _, c := range checks {
		if slices.Contains(exclude, c.Name) {
			unmatched = slices.DeleteFunc(unmatched, func(name string) bool { return name == c.Name })
			lines = append(lines, fmt.Sprintf("[+]%s excluded: ok", c.Name))
			continue
		}
		if err := c.Check(); err != nil {
			failing = append(failing, c.Name)
			lines = append(lines, fmt.Sprintf("[-]%s failed: %s", c.Name, strings.ReplaceAll(err.Error(), "\n", "; ")))
			continue
		}
		lines = append(lines, fmt.Sprintf("[+]%s ok", c.Name))
	}
	if len(unmatched) > 0 {
		lines = append(lines, fmt.Sprintf("warn: some health checks cannot be excluded: no matches for %q", unmatched))
	}
	return lines, failing
}

// tell logs which checks fail, if those are others than the last time.
func (h *health) tell(log klog.Logger, failing, lines []string) {
	h.mu.Lock()
	same := slices.Equal(failing, h.told)
	h.told = failing
	h.mu.Unlock()
	switch {
	case same:
	case len(failing) == 0:
		log.Info("Health checks pass again", "endpoint", h.name)
	default:
		log.Info("Health checks fail", "endpoint", h.name, "failing", failing, "checks", lines)
	}
}
