// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/internal/endpoint"
	"github.com/shardctl/shardctl/internal/hook"
	"github.com/shardctl/shardctl/internal/probe"
	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// oneRole is a file with a role r that has these fields, each on a line; before them stand
// fields of spec.
func oneRole(fields string, spec ...string) string {
	text := head
	for _, field := range spec {
		text += "  " + field + "\n"
	}
	return text + "  roles:\n  - name: r\n    " + strings.ReplaceAll(strings.TrimSpace(fields), "\n", "\n    ") + "\n"
}

// call is what schedules have done in these tests.
const call = `webhook: {url: "http://hooks.example.com/run"}`

func TestRolesWithoutAType(t *testing.T) {
	webhook := &hook.Config{Webhook: &hook.Webhook{URL: "http://hooks.example.com/run"}}
	for name, test := range map[string]struct {
		file string
		want Role // but for what all have
	}{
		"a schedule, the least": {
			oneRole(`schedule: {cron: "0 2 * * *", ` + call + `}`),
			Role{Schedule: &Schedule{Cron: "0 2 * * *", TimeZone: "UTC", Concurrency: "Forbid", Delivery: shard.AtMostOnce, Grace: 10 * time.Second, Action: webhook}},
		},
		"a schedule with all there is": {
			oneRole(`schedule:
  cron: "@every 90s"
  timeZone: Europe/Berlin
  startingDeadlineSeconds: 600
  concurrencyPolicy: Replace
  delivery: atLeastOnce
  suspend: true
  grace: 15s
  webhook:
    service: {name: reports, namespace: ops, port: 8443, protocol: https}
    path: /nightly
    timeout: 90s`),
			Role{Schedule: &Schedule{
				Cron: "@every 90s", TimeZone: "Europe/Berlin", StartingDeadline: 10 * time.Minute, Concurrency: "Replace", Delivery: shard.AtLeastOnce, Suspend: true, Grace: 15 * time.Second,
				Action: &hook.Config{Webhook: &hook.Webhook{
					Service: &hook.Service{Name: "reports", Namespace: "ops", Port: ptr.To[int32](8443), Protocol: "https"}, Path: "/nightly", Timeout: "90s",
				}},
			}},
		},
		"a schedule of a program, which may take its time": {
			oneRole(`schedule: {cron: "@daily", exec: {command: [report, --all], env: [{name: LEVEL, value: info}]}}`),
			Role{Schedule: &Schedule{
				Cron: "@daily", TimeZone: "UTC", Concurrency: "Forbid", Delivery: shard.AtMostOnce, Grace: 10 * time.Second,
				Action: &hook.Config{Exec: &hook.Exec{Command: []string{"report", "--all"}, Env: []hook.EnvVar{{Name: "LEVEL", Value: "info"}}, Timeout: "1h0m0s"}},
			}},
		},
		"a program, the least": {
			oneRole(`exec: {command: [/bin/importer]}`),
			Role{Exec: &Exec{Command: []string{"/bin/importer"}, TerminationGrace: 10 * time.Second, RestartInitial: time.Second, RestartMax: 5 * time.Minute}},
		},
		"a program with all there is": {
			oneRole(`exec: {command: [importer, -v], env: [{name: A, value: b}, {name: EMPTY}], terminationGrace: 3s, restart: {initial: 200ms, max: 1m}}`),
			Role{Exec: &Exec{
				Command: []string{"importer", "-v"}, Env: []hook.EnvVar{{Name: "A", Value: "b"}, {Name: "EMPTY"}},
				TerminationGrace: 3 * time.Second, RestartInitial: 200 * time.Millisecond, RestartMax: time.Minute,
			}},
		},
		"a program that is started again after a longer pause than usual": {
			oneRole(`exec: {command: [importer], restart: {initial: 10m}}`),
			Role{Exec: &Exec{Command: []string{"importer"}, TerminationGrace: 10 * time.Second, RestartInitial: 10 * time.Minute, RestartMax: 10 * time.Minute}},
		},
		"a program where there is little time to drain": {
			oneRole(`exec: {command: [importer]}`, "drainTimeout: 5s"),
			Role{Exec: &Exec{Command: []string{"importer"}, TerminationGrace: 2500 * time.Millisecond, RestartInitial: time.Second, RestartMax: 5 * time.Minute}},
		},
		"a leadership, the least": {
			oneRole(`leadership: {}`), Role{Lead: &Lead{Grace: 2 * time.Second}},
		},
		"a leadership with all there is": {
			oneRole(`leadership: {grace: 500ms, acknowledge: true}`), Role{Lead: &Lead{Grace: 500 * time.Millisecond, Acknowledge: true}},
		},
		"a leadership that is given away at once": {
			oneRole(`leadership: {grace: 0s}`), Role{Lead: &Lead{}},
		},
		"a leadership where there is little time to drain": {
			oneRole(`leadership: {}`, "drainTimeout: 1s"), Role{Lead: &Lead{Grace: 500 * time.Millisecond}},
		},
		"null for what is not there": {
			oneRole("leadership: {grace: null}\nschedule:\nexec: null\nreadiness:\nbuckets:"), Role{Lead: &Lead{Grace: 2 * time.Second}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("demo.yaml", []byte(test.file))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			test.want.Name, test.want.Buckets, test.want.Partition = "r", 1, lease.ByUID
			if !reflect.DeepEqual(got.Roles, []Role{test.want}) {
				t.Errorf("roles = %s\nwant %s", show(got.Roles), show([]Role{test.want}))
			}
		})
	}
}

// show follows the pointers of roles.
func show(roles []Role) string {
	var all strings.Builder
	for _, r := range roles {
		fmt.Fprintf(&all, "%s: schedule %+v exec %+v leadership %+v readiness %+v, %d %s", r.Name, r.Schedule, r.Exec, r.Lead, r.Readiness, r.Buckets, r.Partition)
	}
	return all.String()
}

func TestReadiness(t *testing.T) {
	usual := func(p probe.Config) Readiness {
		return Readiness{Probe: &p, Interval: 5 * time.Second, Timeout: time.Second, FailureThreshold: 3, SuccessThreshold: 1}
	}
	for name, test := range map[string]struct {
		fields string
		want   Readiness
	}{
		"http": {`http: {url: "http://127.0.0.1:8080/ready"}`, usual(probe.Config{HTTP: &probe.HTTP{URL: "http://127.0.0.1:8080/ready"}})},
		"tcp":  {`tcp: {address: "127.0.0.1:5432"}`, usual(probe.Config{TCP: &probe.TCP{Address: "127.0.0.1:5432"}})},
		"exec": {`exec: {command: [ready, -q]}`, usual(probe.Config{Exec: &probe.Exec{Command: []string{"ready", "-q"}}})},
		"pod":  {`pod: {}`, usual(probe.Config{Pod: &probe.Pod{}})},
		"how often": {
			`pod: {}, interval: 1m, timeout: 30s, failureThreshold: 1, successThreshold: 5`,
			Readiness{Probe: &probe.Config{Pod: &probe.Pod{}}, Interval: time.Minute, Timeout: 30 * time.Second, FailureThreshold: 1, SuccessThreshold: 5},
		},
		"often, which leaves less time": {
			`pod: {}, interval: 200ms`,
			Readiness{Probe: &probe.Config{Pod: &probe.Pod{}}, Interval: 200 * time.Millisecond, Timeout: 200 * time.Millisecond, FailureThreshold: 3, SuccessThreshold: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("demo.yaml", []byte(oneRole("leadership: {}\nreadiness: {"+test.fields+"}")))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if !reflect.DeepEqual(*got.Roles[0].Readiness, test.want) {
				t.Errorf("readiness = %+v\nwant %+v", *got.Roles[0].Readiness, test.want)
			}
		})
	}
}

func TestLocalEndpoint(t *testing.T) {
	for name, test := range map[string]struct {
		fields string
		want   Leadership
		serves bool
	}{
		"nothing said":           {"{}", Leadership{Address: "127.0.0.1:4040"}, true},
		"another port":           {`{address: "localhost:0"}`, Leadership{Address: "localhost:0", Asked: true}, true},
		"none, in words":         {`{address: none}`, Leadership{Asked: true}, false},
		"none, in quotes":        {`{address: ""}`, Leadership{Asked: true}, false},
		"a root":                 {`{root: r}`, Leadership{Address: "127.0.0.1:4040", Root: "r"}, true},
		"authorization, for all": {`{authorization: true}`, Leadership{Address: "127.0.0.1:4040", Authorization: true}, true},
		"for the whole network": {
			`{address: ":4040", authorization: true, tls: {certFile: c, keyFile: k}}`,
			Leadership{Address: ":4040", Asked: true, Authorization: true, TLS: endpoint.Files{Cert: "c", Key: "k"}},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("demo.yaml", []byte(oneRole("leadership: {}", "leadership: "+test.fields)))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if got.Leadership != test.want || got.ServesLeadership() != test.serves {
				t.Errorf("the endpoint is %+v, served: %t; want %+v, %t", got.Leadership, got.ServesLeadership(), test.want, test.serves)
			}
		})
	}
}

// Nobody looks for it who has no leadership role, unless he has said where it is to be.
func TestLocalEndpointWithoutALeadershipRole(t *testing.T) {
	for spec, serves := range map[string]bool{"leadership: {}": false, "leadership: {address: none}": false, `leadership: {address: "127.0.0.1:4040"}`: true} {
		got, err := Parse("demo.yaml", []byte(oneRole("exec: {command: [importer]}", spec)))
		if err != nil {
			t.Fatalf("Parse: %v", err)
		}
		if got.ServesLeadership() != serves {
			t.Errorf("%s: served at %q: %t, want %t", spec, got.Leadership.Address, got.ServesLeadership(), serves)
		}
	}
}

func TestRolesThatAreRefused(t *testing.T) {
	const r = "demo.yaml:1: document 1: spec.roles[0]"
	for name, test := range map[string]struct {
		file string
		want []string
	}{
		"two kinds in one": {
			oneRole("exec: {command: [importer]}\nleadership: {}"),
			[]string{r + `.leadership: Forbidden: it is exec already: remove one of the two`},
		},
		"three kinds in one": {
			oneRole(`schedule: {cron: "@daily", ` + call + "}\nexec: {command: [importer]}\nleadership: {}"),
			[]string{
				r + `.exec: Forbidden: it is schedule already: remove one of the two`,
				r + `.leadership: Forbidden: it is schedule already: remove one of the two`,
			},
		},
		"what only types have": {
			oneRole("leadership: {}\nbuckets: 4\npartition: key"),
			[]string{
				r + `.buckets: Forbidden: only types are divided, and a role of this kind has none: remove it`,
				r + `.partition: Forbidden: only types are divided, and a role of this kind has none: remove it`,
			},
		},
		"what only others have": {
			head + widgets + "    readiness: {pod: {}}\n",
			[]string{r + `.readiness: Forbidden: a role that decorates a type is every replica's whose caches are complete: remove it`},
		},
		"the name of a type's shard": {
			head + "  roles:\n  - {name: pods, leadership: {}}\n---\n" + strings.NewReplacer("example.com/v1", "v1", "resource: gadgets", "resource: pods").Replace(gadgets),
			[]string{r + `.name: Duplicate value: "pods": it is the name of the shard of a type too, which spec.resources decorates (document 2, line 7): rename the role`},
		},
		"the name of the shard of another role's type": {
			head + strings.NewReplacer("example.com/v1", "v1", "resource: widgets", "resource: pods").Replace(widgets) + "  - {name: pods, leadership: {}}\n",
			[]string{`demo.yaml:1: document 1: spec.roles[1].name: Duplicate value: "pods": it is the name of the shard of a type too, which spec.roles[0] decorates (document 1, line 1): rename the role`},
		},
		"unknown fields": {
			oneRole("leadership: {grace: 1s, ack: true}\nreadiness: {pod: {name: p}, period: 1s}"),
			[]string{
				r + `.leadership.ack: Forbidden: there is no such field here: use acknowledge, grace`,
				r + `.readiness.pod.name: Forbidden: there is no such field here: remove it`,
				r + `.readiness.period: Forbidden: there is no such field here: use exec, failureThreshold, http, interval, pod, successThreshold, tcp, timeout`,
			},
		},
		"a schedule of nothing": {
			oneRole("schedule: {}"),
			[]string{
				r + `.schedule.cron: Required value: say when, as in "0 2 * * *" for two o'clock every night`,
				r + `.schedule: Required value: say what is to be done: set one of webhook, exec`,
			},
		},
		"a schedule of types that are none": {
			oneRole("schedule: {cron: 5, timeZone: [UTC], startingDeadlineSeconds: 10s, suspend: \"no\", webhook: 7}"),
			[]string{
				r + `.schedule.cron: Invalid value: 5: a string is needed here: write it in quotes, as "5"`,
				r + `.schedule.timeZone: Invalid value: ["UTC"]: a string is needed here`,
				r + `.schedule.startingDeadlineSeconds: Invalid value: "10s": use a whole number from 1 to 31622400, without quotes`,
				r + `.schedule.suspend: Invalid value: "no": use true or false, without quotes`,
				r + `.schedule.webhook: Invalid value: 7: fields with values are needed here, each as "name: value"`,
			},
		},
		"words that are not known": {
			oneRole(`schedule: {cron: "@daily", concurrencyPolicy: forbid, delivery: exactlyOnce, startingDeadlineSeconds: 0, ` + call + "}"),
			[]string{
				r + `.schedule.startingDeadlineSeconds: Invalid value: 0: use a whole number from 1 to 31622400`,
				r + `.schedule.concurrencyPolicy: Unsupported value: "forbid": supported values: "Forbid", "Allow", "Replace"`,
				r + `.schedule.delivery: Unsupported value: "exactlyOnce": supported values: "atMostOnce", "atLeastOnce"`,
			},
		},
		"two actions": {
			oneRole(`schedule: {cron: "@daily", exec: {command: [report]}, ` + call + "}"),
			[]string{r + `.schedule.exec: Forbidden: it is webhook already: remove one of the two`},
		},
		"actions that are wrong in themselves": {
			oneRole(`schedule: {cron: "@daily", webhook: {uri: "http://a", service: {name: A, namespace: b, port: 0}}}`),
			[]string{
				r + `.schedule.webhook.service.port: Invalid value: 0: use a whole number from 1 to 65535`,
				r + `.schedule.webhook.uri: Forbidden: there is no such field here: use path, service, timeout, url`,
			},
		},
		"a program of nothing": {
			oneRole("exec: {}"),
			[]string{r + `.exec.command: Required value: name the program and its arguments, for example [/hooks/sync, --verbose]`},
		},
		"a program as a text": {
			oneRole(`exec: {command: importer -v, env: {A: b}}`),
			[]string{
				r + `.exec.command: Invalid value: "importer -v": a list is needed here: begin each entry with "- "`,
				r + `.exec.env: Invalid value: {"A":"b"}: a list is needed here: begin each entry with "- "`,
			},
		},
		"arguments and variables that are none": {
			oneRole(`exec: {command: [importer, 5, {}], env: [{name: A, value: 7, from: b}]}`),
			[]string{
				r + `.exec.command[1]: Invalid value: 5: a string is needed here: write it in quotes, as "5"`,
				r + `.exec.command[2]: Invalid value: {}: a string is needed here`,
				r + `.exec.env[0].value: Invalid value: 7: a string is needed here: write it in quotes, as "7"`,
				r + `.exec.env[0].from: Forbidden: there is no such field here: use name, value`,
			},
		},
		"a variable that is shardctl's": {
			oneRole(`exec: {command: [importer], env: [{name: SHARDCTL_EPOCH, value: "7"}]}`),
			[]string{r + `.exec.env[0].name: Forbidden: SHARDCTL_EPOCH is set for each call, to tell the program what it is called for: use another name`},
		},
		"a program that takes too long to end, or no time": {
			oneRole(`exec: {command: [importer], terminationGrace: 5s, restart: {initial: 1ms, max: 2h}}`, "drainTimeout: 5s"),
			[]string{
				r + `.exec.terminationGrace: Invalid value: "5s": use 1ms or more, and less than the drainTimeout, 5s: what takes longer keeps its shard from moving`,
				r + `.exec.restart.initial: Invalid value: "1ms": use 100ms to 1h0m0s`,
				r + `.exec.restart.max: Invalid value: "2h": use 100ms to 1h0m0s`,
			},
		},
		"a variable that tells of the role": {
			oneRole(`exec: {command: [importer], env: [{name: A}, {name: SHARDCTL_ROLE, value: b}]}`),
			[]string{r + `.exec.env[1].name: Forbidden: SHARDCTL_ROLE tells the program of its role and is set at every start: use another name`},
		},
		"pauses that shrink": {
			oneRole(`exec: {command: [importer], restart: {initial: 1m, max: 30s}}`),
			[]string{r + `.exec.restart.max: Invalid value: "30s": use 1m0s, which initial is, or more`},
		},
		"a run that may go on too long": {
			oneRole(`schedule: {cron: "@daily", grace: 20s, ` + call + `}`),
			[]string{r + `.schedule.grace: Invalid value: "20s": use 1ms or more, and less than the drainTimeout, 20s: what takes longer keeps its shard from moving`},
		},
		"a leadership that is kept too long": {
			oneRole("leadership: {grace: 20s}"),
			[]string{r + `.leadership.grace: Invalid value: "20s": use 0s or more, and less than the drainTimeout, 20s: what takes longer keeps its shard from moving`},
		},
		"an acknowledgement that nobody waits for": {
			oneRole("leadership: {grace: 0s, acknowledge: true}"),
			[]string{r + `.leadership.acknowledge: Invalid value: true: with a grace of 0s nobody is waited for: use a longer one, or remove this`},
		},
		"a readiness of nothing": {
			oneRole("leadership: {}\nreadiness: {interval: 10ms, timeout: 0s, failureThreshold: 0, successThreshold: 1001}"),
			[]string{
				r + `.readiness: Required value: say what is to be looked at: set one of http, tcp, exec, pod`,
				r + `.readiness.interval: Invalid value: "10ms": use 100ms to 1h0m0s`,
				r + `.readiness.timeout: Invalid value: "0s": use 10ms to 1h0m0s`,
				r + `.readiness.failureThreshold: Invalid value: 0: use a whole number from 1 to 1000`,
				r + `.readiness.successThreshold: Invalid value: 1001: use a whole number from 1 to 1000`,
			},
		},
		"a check that is longer than the pause between two": {
			oneRole("leadership: {}\nreadiness: {pod: {}, interval: 1s, timeout: 2s}"),
			[]string{r + `.readiness.timeout: Invalid value: "2s": use at most the interval, 1s: a check ends before the next one begins`},
		},
		"an endpoint for the whole network": {
			oneRole("leadership: {}", `leadership: {address: ":4040"}`),
			[]string{`demo.yaml:1: document 1: spec.leadership.address: Invalid value: ":4040": everybody who reaches it could give roles up: use a loopback address, or set authorization: true`},
		},
		"tokens in the clear": {
			oneRole("leadership: {}", `leadership: {address: "10.0.0.1:4040", authorization: true}`),
			[]string{`demo.yaml:1: document 1: spec.leadership.tls: Required value: with authorization the tokens of whoever asks would cross the network in the clear: name a certificate, or use a loopback address`},
		},
		"an endpoint nowhere": {
			oneRole("leadership: {}", `leadership: {address: "4040"}`),
			[]string{`demo.yaml:1: document 1: spec.leadership.address: Invalid value: "4040": use host:port with a port from 0 to 65535, as in ":8080", "127.0.0.1:8080" or "[::1]:8080"`},
		},
		"a root that is no leadership": {
			oneRole("exec: {command: [importer]}", `leadership: {root: r}`),
			[]string{`demo.yaml:1: document 1: spec.leadership.root: Invalid value: "r": there is no leadership role of this name: name a role that has the field leadership`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := Parse("demo.yaml", []byte(test.file))
			var invalid *InvalidError
			if !errors.As(err, &invalid) || config != nil {
				t.Fatalf("Parse = %v, %v, want no configuration and an InvalidError", config, err)
			}
			if want := strings.Join(test.want, "\n"); err.Error() != want {
				t.Errorf("messages:\n%s\nwant:\n%s", err, want)
			}
		})
	}
}

// Their words are those of the packages that know; the places are ours.
func TestRolesPlaceWhatOthersRefuse(t *testing.T) {
	for name, test := range map[string]struct{ fields, place, part string }{
		"no times":           {`schedule: {cron: "0 2 * *", ` + call + `}`, "schedule.cron", "0 2 * *"},
		"no time zone":       {`schedule: {cron: "@daily", timeZone: Mars/Olympus, ` + call + `}`, "schedule.timeZone", "Mars/Olympus"},
		"no URL":             {`schedule: {cron: "@daily", webhook: {url: "hooks.example.com"}}`, "schedule.webhook.url", "http://"},
		"no time-out":        {`schedule: {cron: "@daily", exec: {command: [a], timeout: 2h}}`, "schedule.exec.timeout", "1h0m0s"},
		"nothing to get":     {"leadership: {}\nreadiness: {http: {}}", "readiness.http.url", "http://"},
		"nowhere to go":      {"leadership: {}\nreadiness: {tcp: {address: localhost}}", "readiness.tcp.address", "host:port"},
		"nothing to run":     {"leadership: {}\nreadiness: {exec: {command: []}}", "readiness.exec.command", "program"},
		"no time-out at all": {`schedule: {cron: "@daily", webhook: {url: "http://a", timeout: soon}}`, "schedule.webhook.timeout", "soon"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("demo.yaml", []byte(oneRole(test.fields)))
			var invalid *InvalidError
			if !errors.As(err, &invalid) || len(invalid.Problems) != 1 {
				t.Fatalf("Parse: %v, want one problem", err)
			}
			if p := invalid.Problems[0]; p.Field != "spec.roles[0]."+test.place || !strings.Contains(p.Detail, test.part) {
				t.Errorf("%s: %s, want it about %s, with %q", p.Field, p.Detail, test.place, test.part)
			}
		})
	}
}

// Whoever gives hooks another field decides whether schedules have it, too.
func TestSchedulesReadEveryFieldOfAHook(t *testing.T) {
	notForThem := map[string]bool{"ResponseUnMarshallMode": true} // there is no answer to read
	got, err := Parse("demo.yaml", []byte(oneRole(`schedule: {cron: "@daily", webhook: {url: "http://a", path: /p, timeout: 1s, service: {name: svc, namespace: ns, port: 1, protocol: http}}}`)+
		`  - {name: s, schedule: {cron: "@daily", exec: {command: [a], timeout: 1s, env: [{name: A, value: v}]}}}`+"\n"))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	webhook, program := got.Roles[0].Schedule.Action.Webhook, got.Roles[1].Schedule.Action.Exec
	for _, read := range []any{*webhook, *webhook.Service, *program, program.Env[0]} {
		v := reflect.ValueOf(read)
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() != notForThem[name] {
				t.Errorf("%s.%s is %v", v.Type(), name, v.Field(i))
			}
		}
	}
}
