// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/fence"
)

// entry is a line of an audit log, as the API server writes it but for what is not read.
type entry struct {
	id       string
	stage    string // default ResponseComplete
	verb     string
	pod      string // its name; empty for somebody else
	resource string // default widgets
	code     int
	message  string
	answer   string // JSON
	at       time.Time
}

func (e entry) line() string {
	if e.stage == "" {
		e.stage = stageComplete
	}
	if e.resource == "" {
		e.resource = `"resource":"widgets","apiGroup":"demo.example.com"`
	}
	user := `"username":"admin"`
	if e.pod != "" {
		user = fmt.Sprintf(`"username":"account","extra":{%q:[%q],%q:[%q]}`, extraPodName, e.pod, extraPodUID, e.pod+"-uid")
	}
	answer := ""
	if e.answer != "" {
		answer = `,"responseObject":` + e.answer
	}
	at := e.at.Format("2006-01-02T15:04:05.000000Z")
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":%q,"stage":%q,"verb":%q,"user":{%s},`+
		`"objectRef":{%s,"namespace":"ns","name":"w"},"responseStatus":{"metadata":{},"code":%d,"message":%q}%s,"requestReceivedTimestamp":%q,"stageTimestamp":%q}`,
		e.id, e.stage, e.verb, user, e.resource, e.code, e.message, answer, at, at) + "\n"
}

func stored(revision int, more string) string {
	return fmt.Sprintf(`{"metadata":{"uid":"u","resourceVersion":"%d"%s}}`, revision, more)
}

func writeLog(t *testing.T, path string, lines ...string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(strings.Join(lines, "")); err != nil {
		t.Fatal(err)
	}
}

func readLog(t *testing.T, lines ...string) *Audit {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	writeLog(t, path, lines...)
	a := NewAudit(path)
	if err := a.Read(); err != nil {
		t.Fatal(err)
	}
	return a
}

// What the audit log says about one event, the second version of a widget unless the test makes it another.
func TestAttribution(t *testing.T) {
	at := storyBegan.Add(time.Hour)
	const uid types.UID = "u"
	finalizers := `,"finalizers":["f"]`
	deleting := `,"deletionTimestamp":"2026-01-01T00:00:00Z"`
	for _, test := range []struct {
		name     string
		log      []entry
		event    func(e *Event)
		writer   string // the Pod's name; what is known by its own word has only the UID
		evidence Evidence
	}{
		{name: "nothing is known", evidence: Nobody},
		{name: "the answer has the version", log: []entry{{verb: "patch", pod: "a", code: 200, answer: stored(7, "")}}, writer: "a", evidence: ByAudit},
		{name: "the answer has the version, and the user is no Pod", log: []entry{{verb: "update", code: 200, answer: stored(7, "")}}, evidence: ByAudit},
		{name: "the answer has another version", log: []entry{{verb: "patch", pod: "a", code: 200, answer: stored(8, "")}}, evidence: Nobody},
		{name: "the answer is of another object", log: []entry{{verb: "patch", pod: "a", code: 200, answer: `{"metadata":{"uid":"v","resourceVersion":"7"}}`}}, evidence: Nobody},
		{name: "it was only read", log: []entry{{verb: "get", pod: "a", code: 200, answer: stored(7, "")}}, evidence: Nobody},
		{name: "an update that changes nothing got the same answer", log: []entry{
			{verb: "patch", pod: "a", code: 200, answer: stored(7, "")}, {verb: "patch", pod: "b", code: 200, answer: stored(7, "")},
		}, writer: "a", evidence: ByAudit},
		{name: "an update that changes nothing got the same answer before", log: []entry{
			{verb: "patch", pod: "b", code: 200, answer: stored(7, "")}, {verb: "patch", pod: "a", code: 200, answer: stored(7, "")},
		}, event: func(e *Event) { e.Object.Mark = Mark{"a-uid", "1"} }, writer: "a", evidence: ByAudit},
		{name: "the audit log contradicts the object's own word", log: []entry{
			{verb: "patch", pod: "a", code: 200, answer: stored(7, "")},
		}, event: func(e *Event) { e.Object.Mark = Mark{"b-uid", "1"} }, writer: "a", evidence: ByAudit},
		{name: "the object's own word is new", event: func(e *Event) { e.Object.Mark = Mark{"b-uid", "1"} }, writer: "b", evidence: ByOwnWord},
		{name: "the object's own word is of a new term", event: func(e *Event) {
			e.Previous.Mark, e.Object.Mark = Mark{"b-uid", "1"}, Mark{"b-uid", "2"}
		}, writer: "b", evidence: ByOwnWord},
		{name: "the object says that no replica has written", event: func(e *Event) { e.Object.Mark = Mark{NoReplica, "1"} }, evidence: ByOwnWord},
		{name: "the object's own word is old, and what it wants is too", event: func(e *Event) {
			e.Previous.Mark, e.Object.Mark = Mark{"b-uid", "1"}, Mark{"b-uid", "1"}
		}, writer: "b", evidence: ByOwnWord},
		{name: "the object's old word is that of no replica", event: func(e *Event) {
			e.Previous.Mark, e.Object.Mark = Mark{NoReplica, "1"}, Mark{NoReplica, "1"}
		}, evidence: Nobody},
		{name: "the object's own word is old, what it wants is new", event: func(e *Event) {
			e.Previous.Mark, e.Object.Mark = Mark{"b-uid", "1"}, Mark{"b-uid", "1"}
			e.Object.Generation++
		}, evidence: Nobody},
		{name: "a request failed half-way", log: []entry{{verb: "patch", pod: "a", code: 504, at: at}}, writer: "a", evidence: ByRequest},
		{name: "a request was never answered", log: []entry{{id: "1", stage: stageReceived, verb: "patch", pod: "a", at: at.Add(-time.Minute)}}, writer: "a", evidence: ByRequest},
		{name: "a request was answered in the end, with another version", log: []entry{
			{id: "1", stage: stageReceived, verb: "patch", pod: "a", at: at},
			{id: "1", verb: "patch", pod: "a", code: 200, answer: stored(8, ""), at: at},
		}, evidence: Nobody},
		{name: "a request was answered in the end, with a conflict", log: []entry{
			{id: "1", stage: stageReceived, verb: "patch", pod: "a", at: at}, {id: "1", verb: "patch", pod: "a", code: 409, at: at},
		}, evidence: Nobody},
		{name: "two requests of one Pod failed half-way", log: []entry{{verb: "patch", pod: "a", code: 504, at: at}, {verb: "patch", pod: "a", code: 500, at: at}}, writer: "a", evidence: ByRequest},
		{name: "requests of two Pods failed half-way", log: []entry{{verb: "patch", pod: "a", code: 504, at: at}, {verb: "patch", pod: "b", code: 500, at: at}}, evidence: Nobody},
		{name: "a request failed half-way long before", log: []entry{{verb: "patch", pod: "a", code: 504, at: at.Add(-time.Minute)}}, evidence: Nobody},
		{name: "a request failed half-way and came later", log: []entry{{verb: "patch", pod: "a", code: 504, at: at.Add(time.Minute)}}, evidence: Nobody},
		{name: "a request for another type failed half-way", log: []entry{{verb: "patch", pod: "a", code: 504, at: at, resource: `"resource":"gadgets","apiGroup":"demo.example.com"`}}, evidence: Nobody},
		{name: "a delete failed half-way", log: []entry{{verb: "delete", pod: "a", code: 504, at: at}}, evidence: Nobody},
		{name: "a write was refused", log: []entry{{verb: "patch", pod: "a", code: 403, message: fence.MessagePrefix + "no", at: at}}, evidence: Nobody},

		{name: "deleted: the answer says so", log: []entry{{verb: "delete", pod: "a", code: 200, answer: `{"status":"Success","details":{"uid":"u"}}`}}, event: gone, writer: "a", evidence: ByAudit},
		{name: "deleted: the answer is the object", log: []entry{{verb: "delete", pod: "a", code: 200, answer: stored(6, "")}}, event: gone, writer: "a", evidence: ByAudit},
		{name: "deleted: the answer is the object that waits for its finalizers", log: []entry{{verb: "delete", pod: "a", code: 200, answer: stored(6, finalizers)}}, event: gone, evidence: Nobody},
		{name: "deleted: the answer is a list", log: []entry{{verb: "deletecollection", pod: "a", code: 200, answer: `{"items":[{"metadata":{"uid":"x"}},` + stored(6, "") + `]}`}}, event: gone, writer: "a", evidence: ByAudit},
		{name: "deleted: by who took the last finalizer off", log: []entry{
			{verb: "delete", pod: "a", code: 200, answer: stored(6, finalizers+deleting)}, {verb: "update", pod: "b", code: 200, answer: stored(6, deleting)},
		}, event: gone, writer: "b", evidence: ByAudit},
		{name: "deleted: a delete failed half-way", log: []entry{{verb: "delete", pod: "a", code: 504, at: at}}, event: gone, writer: "a", evidence: ByRequest},
		{name: "deleted: an update failed half-way", log: []entry{{verb: "update", pod: "a", code: 504, at: at}}, event: gone, evidence: Nobody},
		{name: "deleted: an update failed half-way, for which the deletion waited", log: []entry{{verb: "update", pod: "a", code: 504, at: at}}, event: func(e *Event) {
			gone(e)
			e.Object.deleting = true
		}, writer: "a", evidence: ByRequest},
		{name: "deleted: its own word says nothing", event: func(e *Event) {
			e.Previous.Mark = Mark{"a-uid", "1"}
			gone(e)
		}, evidence: Nobody},
	} {
		t.Run(test.name, func(t *testing.T) {
			var lines []string
			for _, e := range test.log {
				lines = append(lines, e.line())
			}
			e := Event{Revision: 7, At: at, Key: Key{widgets, "ns", "w"}, Object: &Object{UID: uid}, Previous: &Object{UID: uid}}
			if test.event != nil {
				test.event(&e)
			}
			h := readLog(t, lines...).attribute([]Event{e})
			want := types.UID("")
			if test.writer != "" {
				want = types.UID(test.writer + "-uid")
			}
			if got := h.Writes[0]; got.Writer.Pod != want || got.Evidence != test.evidence {
				t.Errorf("written by %+v, %s; want %q, %s", got.Writer, got.Evidence, want, test.evidence)
			}
		})
	}
}

func gone(e *Event) { e.Deleted, e.Object = true, e.Previous }

func TestRefusals(t *testing.T) {
	a := readLog(t,
		entry{verb: "patch", pod: "b", code: 403, message: `widgets "w" is forbidden: denied: ` + fence.MessagePrefix + "no", at: storyBegan.Add(tick)}.line(),
		entry{verb: "delete", pod: "a", code: 403, message: fence.MessagePrefix + "no", at: storyBegan}.line(),
		entry{verb: "patch", pod: "a", code: 403, message: "no permission", at: storyBegan}.line(),
	)
	got := a.attribute(nil).Refusals
	if len(got) != 2 || got[0].Writer.PodName != "a" || got[1].Writer.Pod != "b-uid" || got[1].Resource != widgets || got[1].Namespace != "ns" || !got[1].At.Equal(storyBegan.Add(tick)) {
		t.Errorf("refused: %+v, want one of a, then one of b", got)
	}
}

// A log is read as it grows. A line is read once it is whole; until then it may as well be cut off, as it is when the API server
// was killed.
func TestAuditLogGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	a := NewAudit(path, filepath.Join(t.TempDir(), "another.log"))
	known := func(want ...bool) {
		t.Helper()
		if err := a.Read(); err != nil {
			t.Fatal(err)
		}
		for i, want := range want {
			e := Event{Revision: int64(i + 1), Object: &Object{UID: "u"}}
			if got := len(a.answers(e)); got > 1 || (got == 1) != want {
				t.Errorf("revision %d is known %d times, want %v", e.Revision, got, want)
			}
		}
	}
	line := func(revision int) string {
		return entry{verb: "patch", pod: "a", code: 200, answer: stored(revision, "")}.line()
	}
	known(false)
	writeLog(t, path, line(1), line(2)[:100])
	known(true, false, false)
	writeLog(t, path, line(2)[100:])
	known(true, true, false)
	whole, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	writeLog(t, path, line(3)[:200])
	known(true, true, false, false)
	if err := os.Truncate(path, whole.Size()); err != nil {
		t.Fatal(err)
	}
	writeLog(t, path, line(4))
	known(true, true, false, true)
	writeLog(t, path, strings.Repeat(`"verb":"patch"`, 2)+"\n")
	if err := a.Read(); err == nil {
		t.Error("nonsense was read without an error")
	}
}

func TestEvidenceHasWords(t *testing.T) {
	for evidence, want := range map[Evidence]string{Nobody: "by nobody", ByOwnWord: "by its own word", ByRequest: "by request", ByAudit: "by the audit log"} {
		if got := evidence.String(); got != want {
			t.Errorf("%d is %q, want %q", evidence, got, want)
		}
	}
}
