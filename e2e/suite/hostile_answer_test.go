// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/status"
)

// somebodysConfigMap is one that no replica made.
const somebodysConfigMap = "somebodys"

// hostileAnswers are what a hook must not get by with. None of them is a reason to delete what is attached already.
var hostileAnswers = []brokenHook{
	{name: "endless", answer: answerEndless, problem: "bytes allowed"},
	{name: "bomb", answer: answerGzipBomb, problem: "bytes allowed"},
	{name: "million levels", answer: answerText(`{"status": ` + strings.Repeat(`{"a":`, 1_000_000)), problem: "not usable"},
	{name: "deep", answer: answerText(`{"status": ` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5001)), problem: "nests deeper than 100 levels"},
	{name: "many attachments", answer: answerText(`{"attachments": [` + strings.Repeat(`{},`, 100_000) + `{}]}`), problem: "at most 1000"},
	{name: "another namespace", answer: attachAnother(map[string]any{"name": "x", "namespace": "kube-system"}), problem: "attachments[0].metadata.namespace"},
	{name: "way up", answer: attachAnother(map[string]any{"name": "../secrets"}), problem: "attachments[0].metadata.name"},
	{name: "no name", answer: attachAnother(map[string]any{"generateName": "x-"}), problem: "a name cannot be generated"},
	{name: "somebodys", answer: attachAnother(map[string]any{"name": somebodysConfigMap}), problem: "not this decorator's"},
	{name: "controlled by another", answer: attachAnother(map[string]any{"name": "x", "ownerReferences": []any{map[string]any{
		"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p-uid", "controller": true,
	}}}), problem: "the controller of an attachment"},
	{name: "member of the group", answer: attachAnother(map[string]any{"name": "x", "labels": map[string]any{"shardctl.dev/group": "x"}}), problem: "for shardctl itself"},
	{name: "long annotation", answer: attachAnother(map[string]any{"name": "x", "annotations": map[string]any{"a": strings.Repeat("x", 200<<10)}}), problem: "bytes of annotations"},
	{name: "lease of the group", answer: answerText(`{"attachments": [{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}}]}`), problem: "spec.attachments does not have"},
	{name: "redirects", answer: redirectForEver, problem: "more than 10 redirects"},
	{name: "trickle", timeout: shortTimeout, answer: answerTrickle, problem: "no answer within 2s"},
	{name: "goes on", timeout: shortTimeout, answer: answerAndGoOn, problem: "no answer within 2s"},
	{name: "no number", answer: answerText(`{"status": {"a": NaN}}`), problem: "not usable"},
	{name: "wrong type", answer: answerText(`{"attachments": {"a": {}}}`), problem: "not usable"},
}

// hostileAnswerMemory is thrice what a replica with the race detector needs for answers of the largest size, and less than it
// would need if it took in what it is sent.
const hostileAnswerMemory = 1 << 30

// What a hostile hook answers is refused with what is wrong with it, in the log and in the status; nothing of it is written,
// nothing is deleted, other objects and other types go on, and the replica does not grow.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	const each = 2
	c := newCluster(t)
	plurals := make([]string, len(hostileAnswers))
	for i, b := range hostileAnswers {
		plurals[i] = strings.ReplaceAll(b.name, " ", "") + "s"
	}
	types := c.createTypes(t, plurals...)
	hooks, roles := make([]*hookServer, len(types)), make([]role, len(types))
	for i, b := range hostileAnswers {
		hooks[i] = serveHook(t, answerWith(attachOne))
		roles[i] = role{resourceType: types[i], hook: b.configuration(hooks[i]), attach: true}
	}
	d := c.deploy(t, roles...)
	c.createConfigMap(t, somebodysConfigMap, map[string]string{"keep": "me"})
	all := c.watchAll(t, types)
	for _, o := range all {
		o.create(t, each)
	}
	d.launch(t, "alone")
	for _, o := range all {
		o.awaitReconciled(t, each)
	}
	eventually(t, "each object has its attachment", func() error { return atLeast(len(c.configMaps(t)), each*len(types)+1) })
	before := c.configMaps(t)

	t.Run("answers", func(t *testing.T) {
		for i, b := range hostileAnswers {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				b.checkRefused(t, d, all[i], hooks[i])
			})
		}
	})

	after := c.configMaps(t)
	for name, was := range before {
		if now, is := after[name]; !is || now.UID != was.UID || !maps.Equal(now.Annotations, was.Annotations) {
			t.Errorf("ConfigMap %s was %s, and is %s", name, was.UID, now.UID)
		}
	}
	if extra := slices.DeleteFunc(slices.Collect(maps.Keys(after)), func(name string) bool { return before[name].UID != "" }); len(extra) > 0 {
		t.Errorf("ConfigMaps %q were made", extra)
	}
	checkPeakMemory(t, d.Replica("alone"), hostileAnswerMemory)
	d.journal(t).checkExclusion(t, types...)
}

// checkRefused has the hook answer in its way for one of the objects.
func (b brokenHook) checkRefused(t *testing.T, d *deployment, o *objects, hook *hookServer) {
	t.Helper()
	good := answerWith(attachOne)
	hook.become(when(named("1"), b.answer, good))
	o.resize(t, 2, 1)
	eventually(t, "the other object is reconciled", func() error {
		return reconciled(slices.DeleteFunc(o.list(t), named("1")), 1)
	})
	d.await(t, "status to show the problem", func(s status.Status) error {
		if problem := problemOf(s, o.resourceType); !strings.Contains(problem, "1 failing") || !strings.Contains(problem, b.problem) {
			return fmt.Errorf("the problem is %q, not %q", problem, b.problem)
		}
		return nil
	})
	if !b.logged(d.log(t, "alone"), o.resourceType, d.Namespace()) {
		t.Errorf("the log of the replica does not say that %s/1 failed with %q", d.Namespace(), b.problem)
	}
	hook.become(good)
	o.awaitReconciled(t, 2)
	d.await(t, "the problem to disappear", noProblem(o.resourceType))
}

// attachOne attaches one ConfigMap, which never changes.
func attachOne(request hookRequest) hookAnswer {
	answer := reflectSpec(request)
	answer.Attachments = []map[string]any{{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": strings.ToLower(request.Object.GetKind()) + "-" + request.Object.GetName()},
	}}
	return answer
}

// attachAnother wants a ConfigMap with this metadata besides the one that there is.
func attachAnother(metadata map[string]any) hook {
	return answerWith(func(request hookRequest) hookAnswer {
		answer := attachOne(request)
		answer.Attachments = slices.Insert(answer.Attachments, 0, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
		return answer
	})
}

// answerEndless sends attachments until the caller hangs up.
func answerEndless(w http.ResponseWriter, _ *http.Request, _ hookRequest) {
	_, err := w.Write([]byte(`{"attachments": [`))
	for chunk := bytes.Repeat([]byte(`{},`), 1<<16); err == nil; {
		_, err = w.Write(chunk)
	}
}

// answerGzipBomb sends little that becomes much.
func answerGzipBomb(w http.ResponseWriter, _ *http.Request, _ hookRequest) {
	w.Header().Set("Content-Encoding", "gzip")
	zip := gzip.NewWriter(w)
	filler := bytes.Repeat([]byte(" "), 1<<20)
	for range 64 {
		if _, err := zip.Write(filler); err != nil {
			return // the caller has hung up
		}
	}
	_ = zip.Close()
}

func redirectForEver(w http.ResponseWriter, r *http.Request, _ hookRequest) {
	http.Redirect(w, r, r.URL.Path, http.StatusPermanentRedirect)
}

// answerTrickle sends a byte at a time, without end.
func answerTrickle(w http.ResponseWriter, r *http.Request, _ hookRequest) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for r.Context().Err() == nil {
		_, _ = w.Write([]byte(" "))
		_ = http.NewResponseController(w).Flush()
		<-tick.C
	}
}

// answerAndGoOn sends all there is to say, and does not come to an end.
func answerAndGoOn(w http.ResponseWriter, r *http.Request, request hookRequest) {
	_ = json.NewEncoder(w).Encode(attachOne(request))
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}
