// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/endpoint"
	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

const (
	// head begins a Configuration; its fields of spec follow, indented by two.
	head = "apiVersion: shardctl.dev/v1alpha1\nkind: Configuration\nmetadata: {name: demo}\nspec:\n"

	// widgets is a role of it, gadgets a document that is a role.
	widgets = `  roles:
  - name: widgets
    decorator:
      resources: [{apiVersion: example.com/v1, resource: widgets}]
      hooks: {sync: {webhook: {url: "http://hooks.example.com/widgets"}}}
`
	gadgets = `apiVersion: metacontroller.k8s.io/v1alpha1
kind: DecoratorController
metadata: {name: gadgets}
spec:
  resources: [{apiVersion: example.com/v1, resource: gadgets}]
  hooks: {sync: {webhook: {url: "http://hooks.example.com/gadgets"}}}
`
)

// summary is what the table of accepted files compares of a role.
type summary struct{ Name, DecoratorName, Resource string }

func summarize(roles []Role) []summary {
	var all []summary
	for _, role := range roles {
		all = append(all, summary{role.Name, role.Decorator.Name(), role.Decorator.Spec.Resources[0].Resource.Resource})
	}
	return all
}

func TestParseAccepts(t *testing.T) {
	onlyWidgets := []summary{{"widgets", "widgets", "widgets"}}
	both := append(onlyWidgets, summary{"gadgets", "gadgets", "gadgets"})
	defaults := Config{
		Name:         "demo",
		Timings:      lease.Default,
		Mode:         lease.SessionMode,
		PodWatch:     true,
		DrainTimeout: 20 * time.Second,
		Workers:      4,
		HTTPAddress:  ":8080",
		Leadership:   Leadership{Address: "127.0.0.1:4040"},
		Events:       true,
	}
	with := func(change func(*Config)) Config {
		changed := defaults
		change(&changed)
		return changed
	}

	for name, test := range map[string]struct {
		file  string
		want  Config // but for its roles
		roles []summary
	}{
		"the least": {
			file: head + widgets, want: defaults, roles: onlyWidgets,
		},
		"everything": {
			file: head + `  namespace: shardctl-demo
  timings: {preset: fast, leaseDuration: 8s, renewDeadline: 4s, renewInterval: 1500ms}
  mode: lease
  podWatch: false
  drainTimeout: 1m30s
  workers: 8
  balance: {tolerance: 0.25, budget: 3, cooldown: 5s}
  http:
    address: "127.0.0.1:0"
    tls: {certFile: /tls/tls.crt, keyFile: /tls/tls.key}
    authorization: {protect: [dashboard, metrics]}
  leadership:
    address: ":4040"
    tls: {certFile: /tls/tls.crt, keyFile: /tls/tls.key}
    authorization: true
  events: false
` + widgets,
			want: Config{
				Balance:      shard.Balance{Tolerance: 0.25, Budget: 3, Cooldown: 5 * time.Second},
				Name:         "demo",
				Namespace:    "shardctl-demo",
				Mode:         lease.LeaseMode,
				PodWatch:     false,
				Timings:      lease.Timings{LeaseDuration: 8 * time.Second, RenewDeadline: 4 * time.Second, RenewInterval: 1500 * time.Millisecond},
				DrainTimeout: 90 * time.Second,
				Workers:      8,
				HTTPAddress:  "127.0.0.1:0",
				HTTPTLS:      endpoint.Files{Cert: "/tls/tls.crt", Key: "/tls/tls.key"},
				HTTPProtect:  []endpoint.Part{endpoint.Dashboard, endpoint.Metrics},
				Leadership: Leadership{
					Address: ":4040", Asked: true, TLS: endpoint.Files{Cert: "/tls/tls.crt", Key: "/tls/tls.key"}, Authorization: true,
				},
			},
			roles: onlyWidgets,
		},
		"a preset with one duration changed": {
			file: head + "  timings: {preset: relaxed, leaseDuration: 90s}\n" + widgets,
			want: with(func(c *Config) {
				c.Timings = lease.Relaxed
				c.Timings.LeaseDuration = 90 * time.Second
			}),
			roles: onlyWidgets,
		},
		"a role in each way, in the order of the file": {
			file: head + widgets + "---\n" + gadgets, want: defaults, roles: both,
		},
		"no role but a DecoratorController, and that first": {
			file: gadgets + "---\n" + strings.TrimSuffix(head, "spec:\n"), want: defaults, roles: both[1:],
		},
		"empty documents, comments, a document end": {
			file: "# templated\n---\n---\n# nothing\n---\n" + head + widgets + "...\n---\nnull\n--- # more\n" + gadgets + "---\n",
			want: defaults, roles: both,
		},
		"text behind the marker": {
			file: "--- {apiVersion: shardctl.dev/v1alpha1, kind: Configuration, metadata: {name: demo}}\n---\n" + gadgets,
			want: defaults, roles: both[1:],
		},
		"authorization of everything, on a loopback address": {
			file:  head + "  http: {address: \"localhost:8080\", authorization: {}}\n" + widgets,
			want:  with(func(c *Config) { c.HTTPAddress, c.HTTPProtect = "localhost:8080", endpoint.Parts() }),
			roles: onlyWidgets,
		},
		"authorization, with a certificate": {
			file: head + "  http: {authorization: {protect: [pprof]}, tls: {certFile: c, keyFile: k}}\n" + widgets,
			want: with(func(c *Config) {
				c.HTTPProtect, c.HTTPTLS = []endpoint.Part{endpoint.Pprof}, endpoint.Files{Cert: "c", Key: "k"}
			}),
			roles: onlyWidgets,
		},
		"a tolerance that is a whole number": {
			file: head + "  balance: {tolerance: 1}\n" + widgets, want: with(func(c *Config) { c.Balance.Tolerance = 1 }), roles: onlyWidgets,
		},
		"null for absent": {
			file: head + "  namespace:\n  timings:\n  drainTimeout:\n  workers:\n  balance: {tolerance: null, budget: null, cooldown: null}\n  http: {tls: null, authorization: null}\n  leadership: {address: null, tls: null, authorization: null, root: null}\n  events:\n" + widgets, want: defaults, roles: onlyWidgets,
		},
		"lines that end in carriage return and line feed": {
			file: strings.ReplaceAll(head+widgets+"---\n"+gadgets, "\n", "\r\n"), want: defaults, roles: both,
		},
		"a byte order mark": {
			file: "\ufeff" + head + widgets, want: defaults, roles: onlyWidgets,
		},
		"what kubectl leaves in a document": {
			file:  head + "---\n" + strings.Replace(gadgets, "{name: gadgets}", "{name: gadgets, labels: {app: x}, resourceVersion: \"7\"}", 1),
			want:  defaults,
			roles: both[1:],
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("demo.yaml", []byte(test.file))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if roles := summarize(got.Roles); !slices.Equal(roles, test.roles) {
				t.Errorf("roles = %+v\nwant %+v", roles, test.roles)
			}
			got.Roles = nil
			if !reflect.DeepEqual(*got, test.want) {
				t.Errorf("configuration = %+v\nwant %+v", *got, test.want)
			}
		})
	}
}

func TestParseReadsHowTypesAreDivided(t *testing.T) {
	for name, test := range map[string]struct {
		fields    string
		buckets   int
		partition lease.Partition
	}{
		"nothing said":       {"", 1, lease.ByUID},
		"a number":           {"    buckets: 4\n", 4, lease.ByUID},
		"both":               {"    buckets: 256\n    partition: namespace\n", 256, lease.ByNamespace},
		"one by whatever":    {"    buckets: 1\n    partition: key\n", 1, lease.ByKey},
		"null for the usual": {"    buckets:\n    partition:\n", 1, lease.ByUID},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("demo.yaml", []byte(head+widgets+test.fields+"---\n"+gadgets))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if role := got.Roles[0]; role.Buckets != test.buckets || role.Partition != test.partition {
				t.Errorf("%d buckets by %s, want %d by %s", role.Buckets, role.Partition, test.buckets, test.partition)
			}
			if role := got.Roles[1]; role.Buckets != 1 || role.Partition != lease.ByUID {
				t.Errorf("a DecoratorController is in %d buckets by %s, want one piece", role.Buckets, role.Partition)
			}
		})
	}
}

// dividedTypes are so many roles, each of a type of its own in so many buckets.
func dividedTypes(types, buckets int) string {
	roles := "  roles:\n"
	for i := range types {
		name := fmt.Sprintf("type%d", i)
		roles += strings.ReplaceAll(strings.TrimPrefix(widgets, "  roles:\n"), "widgets", name) + fmt.Sprintf("    buckets: %d\n", buckets)
	}
	return roles
}

// Roles of one type share its buckets, which count once.
func TestParseAcceptsAsManyBucketsAsFitIntoAGroup(t *testing.T) {
	again := strings.Replace(strings.TrimPrefix(dividedTypes(1, 250), "  roles:\n"), "name: type0", "name: again", 1)
	got, err := Parse("demo.yaml", []byte(head+dividedTypes(4, 250)+again))
	if err != nil || len(got.Roles) != 5 {
		t.Errorf("Parse = %+v, %v; want five roles", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		want []string
	}{
		"an empty file": {
			file: "",
			want: []string{
				`demo.yaml: has no document of kind Configuration, apiVersion shardctl.dev/v1alpha1: add one, its metadata.name names the group`,
			},
		},
		"no Configuration": {
			file: gadgets,
			want: []string{
				`demo.yaml: has no document of kind Configuration, apiVersion shardctl.dev/v1alpha1: add one, its metadata.name names the group`,
			},
		},
		"no role": {
			file: "---\n" + head,
			want: []string{
				`demo.yaml:1: document 1: spec.roles: Required value: there is nothing to do: add a role, here or as a document of kind DecoratorController`,
			},
		},
		"two Configurations": {
			file: head + widgets + "---\n" + head + widgets,
			want: []string{
				`demo.yaml:10: document 2: kind Configuration is there already (document 1, line 1): keep one of the two, a process is one group`,
			},
		},
		"somebody else's document": {
			file: head + widgets + "---\napiVersion: v1\nkind: ConfigMap\n",
			want: []string{
				`demo.yaml:10: document 2: kind ConfigMap of apiVersion v1 is not known here: use Configuration of shardctl.dev/v1alpha1 or DecoratorController of metacontroller.k8s.io/v1alpha1`,
			},
		},
		"a CompositeController": {
			file: head + widgets + "---\n" + strings.Replace(gadgets, "Decorator", "Composite", 1),
			want: []string{
				`demo.yaml:10: document 2: kind CompositeController of apiVersion metacontroller.k8s.io/v1alpha1 is not known here: use Configuration of shardctl.dev/v1alpha1 or DecoratorController of metacontroller.k8s.io/v1alpha1`,
			},
		},
		"another version": {
			file: strings.Replace(head, "v1alpha1", "v1", 1) + widgets,
			want: []string{
				`demo.yaml:1: document 1: kind Configuration of apiVersion shardctl.dev/v1 is not known here: use Configuration of shardctl.dev/v1alpha1 or DecoratorController of metacontroller.k8s.io/v1alpha1`,
			},
		},
		"neither kind nor version": {
			file: "spec: {}\n",
			want: []string{
				`demo.yaml:1: document 1: kind (none) of apiVersion (none) is not known here: use Configuration of shardctl.dev/v1alpha1 or DecoratorController of metacontroller.k8s.io/v1alpha1`,
			},
		},
		"a list": {
			file: "- apiVersion: shardctl.dev/v1alpha1\n",
			want: []string{
				`demo.yaml:1: document 1: fields with values are needed here: begin with apiVersion: shardctl.dev/v1alpha1 and kind: Configuration`,
			},
		},
		"a text": {
			file: "demo",
			want: []string{
				`demo.yaml:1: document 1: fields with values are needed here: begin with apiVersion: shardctl.dev/v1alpha1 and kind: Configuration`,
			},
		},
		"not YAML, in a later document": {
			file: head + widgets + "---\n" + gadgets + "  extra: [1\n",
			want: []string{
				`demo.yaml:17: document 2: cannot be read as YAML, here or just below: did not find expected ',' or ']'`,
			},
		},
		"not YAML, in a first line": {
			file: "kind: Configuration: x\n",
			want: []string{
				`demo.yaml:1: document 1: cannot be read as YAML, here or just below: mapping values are not allowed in this context`,
			},
		},
		"not UTF-8": {
			file: "kind: \xff\n",
			want: []string{
				`demo.yaml:1: document 1: cannot be read as YAML, here or just below: invalid leading UTF-8 octet`,
			},
		},
		"a number that JSON has not": {
			file: head + "  workers: .nan\n",
			want: []string{
				`demo.yaml:1: document 1: spec.workers: Invalid value: NaN: use a number that is finite`,
			},
		},
		"numbers that JSON has not, anywhere": {
			file: head + "  balance: {tolerance: .nan, budget: .inf}\n" + strings.Replace(widgets, "hooks:", "resyncPeriodSeconds: -.inf\n      hooks:", 1),
			want: []string{
				`demo.yaml:1: document 1: spec.balance.budget: Invalid value: +Inf: use a number that is finite`,
				`demo.yaml:1: document 1: spec.balance.tolerance: Invalid value: NaN: use a number that is finite`,
				`demo.yaml:1: document 1: spec.roles[0].decorator.resyncPeriodSeconds: Invalid value: -Inf: use a number that is finite`,
			},
		},
		"a document that is nothing else": {
			file: ".nan\n",
			want: []string{
				`demo.yaml:1: document 1: cannot be read as YAML, here or just below: json: unsupported value: NaN`,
			},
		},
		"a tolerance that is not a number, in quotes": {
			file: head + "  balance: {tolerance: \"NaN\"}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.balance.tolerance: Invalid value: "NaN": use a number above 0 and at most 1, as in 0.1 for a tenth, without quotes`,
			},
		},
		"more buckets than fit into a group": {
			file: head + dividedTypes(4, 256),
			want: []string{
				`demo.yaml:1: document 1: spec.roles: 1024 buckets in all are not allowed: use at most 1000, where a type that is not divided counts as one, or several groups: the layout record names them all`,
			},
		},
		"types in one piece beside as many buckets as fit": {
			file: head + dividedTypes(4, 250) + "---\n" + gadgets,
			want: []string{
				`demo.yaml:1: document 1: spec.roles: 1001 buckets in all are not allowed: use at most 1000, where a type that is not divided counts as one, or several groups: the layout record names them all`,
			},
		},
		"no name of the group": {
			file: "apiVersion: shardctl.dev/v1alpha1\nkind: Configuration\n---\n" + gadgets,
			want: []string{
				`demo.yaml:1: document 1: metadata.name: Required value: name the group: replicas with the same name share the shards`,
			},
		},
		"names that are no labels": {
			file: strings.Replace(head, "demo", "Demo", 1) + "  namespace: a.b\n" + strings.Replace(widgets, "name: widgets", "name: widgets_", 1),
			want: []string{
				`demo.yaml:1: document 1: metadata.name: Invalid value: "Demo": use 1 to 63 lower case letters, digits and hyphens, with no hyphen at either end`,
				`demo.yaml:1: document 1: spec.namespace: Invalid value: "a.b": use 1 to 63 lower case letters, digits and hyphens, with no hyphen at either end`,
				`demo.yaml:1: document 1: spec.roles[0].name: Invalid value: "widgets_": use 1 to 63 lower case letters, digits and hyphens, with no hyphen at either end`,
			},
		},
		"all that can be wrong with the simple fields": {
			file: head + `  namespace: 5
  drainTimeout: 0s
  workers: 0
  http: {address: "8080"}
` + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.namespace: Invalid value: 5: a string is needed here: write it in quotes, as "5"`,
				`demo.yaml:1: document 1: spec.drainTimeout: Invalid value: "0s": use more than 0s and at most 1h0m0s`,
				`demo.yaml:1: document 1: spec.workers: Invalid value: 0: use a whole number from 1 to 1000`,
				`demo.yaml:1: document 1: spec.http.address: Invalid value: "8080": use host:port with a port from 0 to 65535, as in ":8080", "127.0.0.1:8080" or "[::1]:8080"`,
			},
		},
		"all that can be wrong with types": {
			file: head + `  namespace: [a]
  timings: fast
  drainTimeout: 20
  workers: "4"
  http: [":8080"]
  roles: {name: widgets}
`,
			want: []string{
				`demo.yaml:1: document 1: spec.namespace: Invalid value: ["a"]: a string is needed here`,
				`demo.yaml:1: document 1: spec.timings: Invalid value: "fast": fields with values are needed here, each as "name: value"`,
				`demo.yaml:1: document 1: spec.drainTimeout: Invalid value: 20: a duration needs a unit: write 20s if seconds are meant`,
				`demo.yaml:1: document 1: spec.workers: Invalid value: "4": use a whole number from 1 to 1000, without quotes`,
				`demo.yaml:1: document 1: spec.http: Invalid value: [":8080"]: fields with values are needed here, each as "name: value"`,
				`demo.yaml:1: document 1: spec.roles: Invalid value: {"name":"widgets"}: a list is needed here: begin each entry with "- "`,
			},
		},
		"durations that are none": {
			file: head + "  timings: {leaseDuration: 15, renewDeadline: nine, renewInterval: true}\n  drainTimeout: 2h\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.timings.leaseDuration: Invalid value: 15: a duration needs a unit: write 15s if seconds are meant`,
				`demo.yaml:1: document 1: spec.timings.renewDeadline: Invalid value: "nine": use a number and a unit (ms, s, m, h), as in 20s or 1m30s`,
				`demo.yaml:1: document 1: spec.timings.renewInterval: Invalid value: true: use a number and a unit (ms, s, m, h), as in 20s or 1m30s`,
				`demo.yaml:1: document 1: spec.drainTimeout: Invalid value: "2h": use more than 0s and at most 1h0m0s`,
			},
		},
		"an unknown preset": {
			file: head + "  timings: {preset: slow, leaseDuration: 1ms}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.timings.preset: Unsupported value: "slow": supported values: "default", "fast", "relaxed"`,
			},
		},
		"a balance that cannot be": {
			file: head + "  balance: {tolerance: 0, budget: 0, cooldown: 0s, evenly: true}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.balance.tolerance: Invalid value: 0: use a number above 0 and at most 1, as in 0.1 for a tenth, without quotes`,
				`demo.yaml:1: document 1: spec.balance.budget: Invalid value: 0: use a whole number from 1 to 10000`,
				`demo.yaml:1: document 1: spec.balance.cooldown: Invalid value: "0s": use more than 0s and at most 1h0m0s`,
				`demo.yaml:1: document 1: spec.balance.evenly: Forbidden: there is no such field here: use budget, cooldown, tolerance`,
			},
		},
		"a tolerance that is no number": {
			file: head + "  balance: {tolerance: 10%}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.balance.tolerance: Invalid value: "10%": use a number above 0 and at most 1, as in 0.1 for a tenth, without quotes`,
			},
		},
		"no buckets": {
			file: head + widgets + "    buckets: 0\n",
			want: []string{
				`demo.yaml:1: document 1: spec.roles[0].buckets: Invalid value: 0: use a whole number from 1 to 256`,
			},
		},
		"too many buckets, by nothing that is known": {
			file: head + widgets + "    buckets: 257\n    partition: moon\n",
			want: []string{
				`demo.yaml:1: document 1: spec.roles[0].buckets: Invalid value: 257: use a whole number from 1 to 256`,
				`demo.yaml:1: document 1: spec.roles[0].partition: Unsupported value: "moon": supported values: "uid", "key", "namespace"`,
			},
		},
		"a partition into nobody knows how many": {
			file: head + widgets + "    partition: key\n",
			want: []string{
				`demo.yaml:1: document 1: spec.roles[0].buckets: Required value: say how many there are beside partition, or remove that`,
			},
		},
		"two roles that do not divide a type alike": {
			file: head + widgets + "    buckets: 4\n" + strings.Replace(strings.TrimPrefix(widgets, "  roles:\n"), "name: widgets", "name: others", 1) + "    buckets: 4\n    partition: key\n",
			want: []string{
				`demo.yaml:1: document 1: spec.roles[1].buckets: Invalid value: "4 by key": spec.roles[0].buckets says 4 by uid of widgets.example.com (document 1, line 1): let both say the same, for they share its shards`,
			},
		},
		"a document that does not divide a type as a role does": {
			file: head + strings.ReplaceAll(widgets, "resource: widgets", "resource: gadgets") + "    buckets: 2\n---\n" + gadgets,
			want: []string{
				`demo.yaml:11: document 2: spec.resources: Invalid value: "1": spec.roles[0].buckets says 2 by uid of gadgets.example.com (document 1, line 1): let both say the same, for they share its shards`,
			},
		},
		"a boolean in quotes": {
			file: head + "  podWatch: \"no\"\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.podWatch: Invalid value: "no": use true or false, without quotes`,
			},
		},
		"an unknown mode": {
			file: head + "  mode: lock\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.mode: Unsupported value: "lock": supported values: "session", "lease"`,
			},
		},
		"a mode that does not fit the timings": {
			file: head + "  mode: lease\n  timings: {leaseDuration: 2s, renewDeadline: 1s, renewInterval: 400ms}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.timings.leaseDuration: Invalid value: "2s": use 3s or more in mode lease (renewDeadline + renewInterval, at least 1s, + 1s): other electors compare Leases in whole seconds`,
			},
		},
		"half a certificate": {
			file: head + "  http: {tls: {certFile: tls.crt}}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.http.tls.keyFile: Required value: name a file in PEM, such as tls.key of a Secret that is mounted`,
			},
		},
		"a certificate of nothing": {
			file: head + "  http: {tls: {}}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.http.tls.certFile: Required value: name a file in PEM, such as tls.crt of a Secret that is mounted`,
				`demo.yaml:1: document 1: spec.http.tls.keyFile: Required value: name a file in PEM, such as tls.key of a Secret that is mounted`,
			},
		},
		"authorization in the clear": {
			file: head + "  http: {authorization: {}}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.http.tls: Required value: with authorization the tokens of whoever asks would cross the network in the clear: name a certificate, or use a loopback address`,
			},
		},
		"authorization of nothing": {
			file: head + "  http: {authorization: {protect: []}}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.http.authorization.protect: Required value: name what is to be protected, or leave out authorization`,
			},
		},
		"authorization of what is not known, not a name, and twice": {
			file: head + "  http: {address: \"127.0.0.1:1\", authorization: {protect: [livez, metrics, 1, metrics]}}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.http.authorization.protect[0]: Unsupported value: "livez": supported values: "metrics", "dashboard", "pprof"`,
				`demo.yaml:1: document 1: spec.http.authorization.protect[2]: Invalid value: 1: a string is needed here`,
				`demo.yaml:1: document 1: spec.http.authorization.protect[3]: Duplicate value: "metrics"`,
			},
		},
		"a port that is none": {
			file: head + "  http: {address: \":99999\"}\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.http.address: Invalid value: ":99999": use host:port with a port from 0 to 65535, as in ":8080", "127.0.0.1:8080" or "[::1]:8080"`,
			},
		},
		"unknown fields at every level": {
			file: "apiVersion: shardctl.dev/v1alpha1\nkind: Configuration\nstatus: {}\nmetadata: {name: demo, labels: {}}\nspec:\n  drainTimout: 20s\n  timings: {lease: 15s}\n  http: {port: 8080}\n" + widgets + "    schedules: {}\n",
			want: []string{
				`demo.yaml:1: document 1: metadata.labels: Forbidden: there is no such field here: use name`,
				`demo.yaml:1: document 1: spec.timings.lease: Forbidden: there is no such field here: use leaseDuration, preset, renewDeadline, renewInterval`,
				`demo.yaml:1: document 1: spec.http.port: Forbidden: there is no such field here: use address, authorization, tls`,
				`demo.yaml:1: document 1: spec.drainTimout: Forbidden: there is no such field here: use balance, drainTimeout, events, http, leadership, mode, namespace, podWatch, roles, timings, workers`,
				`demo.yaml:1: document 1: status: Forbidden: there is no such field here: use apiVersion, kind, metadata, spec`,
				`demo.yaml:1: document 1: spec.roles[0].schedules: Forbidden: there is no such field here: use buckets, decorator, exec, leadership, name, partition, readiness, schedule`,
			},
		},
		"field names that do not fit a line": {
			file: head + "  \"a\\nb\": 1\n  " + strings.Repeat("x", 200) + ": 1\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec."a\nb": Forbidden: there is no such field here: use balance, drainTimeout, events, http, leadership, mode, namespace, podWatch, roles, timings, workers`,
				`demo.yaml:1: document 1: spec."xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...": Forbidden: there is no such field here: use balance, drainTimeout, events, http, leadership, mode, namespace, podWatch, roles, timings, workers`,
			},
		},
		"fields that stand twice": {
			file: "# demo\n---\n" + head + "  workers: 4\n  workers: 0\n" + strings.Replace(widgets, "  - name: widgets\n", "  - name: widgets\n    name: widgets\n", 1),
			want: []string{
				`demo.yaml:8: document 1: workers: Duplicate value: the field is given twice: remove one of the two`,
				`demo.yaml:11: document 1: name: Duplicate value: the field is given twice: remove one of the two`,
				`demo.yaml:2: document 1: spec.workers: Invalid value: 0: use a whole number from 1 to 1000`,
			},
		},
		"a role without a name": {
			file: head + strings.Replace(widgets, "name: widgets", "name:", 1),
			want: []string{
				`demo.yaml:1: document 1: spec.roles[0].name: Required value: name the role: its shard and its Lease are called so`,
			},
		},
		"roles that are none": {
			file: head + widgets + "  -\n  - 7\n",
			want: []string{
				`demo.yaml:1: document 1: spec.roles[1]: Invalid value: null: fields with values are needed here, each as "name: value"`,
				`demo.yaml:1: document 1: spec.roles[2]: Invalid value: 7: fields with values are needed here, each as "name: value"`,
			},
		},
		"a role that does nothing": {
			file: head + "  roles:\n  - name: widgets\n",
			want: []string{
				`demo.yaml:1: document 1: spec.roles[0]: Required value: say what the role does: set one of decorator, schedule, exec, leadership`,
			},
		},
		"a decorator of the wrong type": {
			file: head + "  roles:\n  - name: widgets\n    decorator: [x]\n",
			want: []string{
				`demo.yaml:1: document 1: spec.roles[0].decorator: Invalid value: ["x"]: fields with values are needed here, each as "name: value"`,
			},
		},
		"a name taken by another role": {
			file: head + widgets + strings.TrimPrefix(widgets, "  roles:\n"),
			want: []string{
				`demo.yaml:1: document 1: spec.roles[1].name: Duplicate value: "widgets": spec.roles[0].name has this name already (document 1, line 1): rename one of the two`,
			},
		},
		"a name taken by another document": {
			file: gadgets + "---\n" + head + widgets + "---\n" + gadgets,
			want: []string{
				`demo.yaml:17: document 3: metadata.name: Duplicate value: "gadgets": metadata.name has this name already (document 1, line 1): rename one of the two`,
			},
		},
		"a name taken across the two ways": {
			file: head + widgets + "---\n" + strings.ReplaceAll(gadgets, "gadgets", "widgets"),
			want: []string{
				`demo.yaml:10: document 2: metadata.name: Duplicate value: "widgets": spec.roles[0].name has this name already (document 1, line 1): rename one of the two`,
			},
		},
		"text behind a document in braces": {
			file: "# demo\n---\n{kind: Configuration}\n{kind: ignored}\n",
			want: []string{
				`demo.yaml:2: document 1: cannot be read as YAML, here or just below: text follows the end of the document: remove it, or put a line with --- before it`,
			},
		},
		"a marker behind a carriage return alone": {
			file: head + widgets + "# x\r---\rkind: ignored\n",
			want: []string{
				`demo.yaml:1: document 1: cannot be read as YAML, here or just below: text follows the end of the document: remove it, or put a line with --- before it`,
			},
		},
		"a marker behind a line separator": {
			file: head + widgets + "# x\u2028---\u2028kind: ignored\n",
			want: []string{
				`demo.yaml:1: document 1: cannot be read as YAML, here or just below: text follows the end of the document: remove it, or put a line with --- before it`,
			},
		},
		"too many bytes": {
			file: strings.Repeat("#", MaxBytes+1),
			want: []string{
				`demo.yaml: has more than 1048576 bytes: is it the right file? If so, use several groups`,
			},
		},
		"aliases that fill the memory": {
			file: "a: &a " + strings.Repeat("x", MaxBytes/2) + "\nb: [" + strings.Repeat("*a, ", 10) + "]\n",
			want: []string{
				`demo.yaml:1: document 1: cannot be read as YAML, here or just below: its aliases make more than 4194304 bytes of it`,
			},
		},
		"aliases of aliases": {
			file: "a: &a [x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c, *c, *c, *c]\n",
			want: []string{
				`demo.yaml:1: document 1: cannot be read as YAML, here or just below: document contains excessive aliasing`,
			},
		},
		"too many documents": {
			file: strings.Repeat("---\n", MaxDocuments+1),
			want: []string{
				`demo.yaml: has 1001 documents: use 1000 or less`,
			},
		},
		"a long value": {
			file: head + "  namespace: " + strings.Repeat("ü", 100) + "\n" + widgets,
			want: []string{
				`demo.yaml:1: document 1: spec.namespace: Invalid value: "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü...": use 1 to 63 lower case letters, digits and hyphens, with no hyphen at either end`,
			},
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

// The words are those of the packages that validate; the places are ours.
func TestParsePlacesWhatOthersRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		want []string
	}{
		"timings that break the rules": {
			file: head + "  timings: {leaseDuration: 9500ms, renewDeadline: 6s}\n" + widgets,
			want: []string{
				"demo.yaml:1: document 1: spec.timings.renewDeadline",
				"demo.yaml:1: document 1: spec.timings.leaseDuration",
				"demo.yaml:1: document 1: spec.timings.leaseDuration",
			},
		},
		"faults inside a role's decorator": {
			file: head + strings.NewReplacer("resource: widgets", "resource: Widget", "url", "uri").Replace(widgets),
			want: []string{
				"demo.yaml:1: document 1: spec.roles[0].decorator.hooks.sync.webhook.uri",
				"demo.yaml:1: document 1: spec.roles[0].decorator.resources[0].resource",
				"demo.yaml:1: document 1: spec.roles[0].decorator.hooks.sync.webhook",
			},
		},
		"a name too long for the finalizer": {
			file: head + strings.NewReplacer("name: widgets", "name: "+strings.Repeat("w", 44), "hooks: {", "hooks: {finalize: {exec: {command: [x]}}, ").Replace(widgets),
			want: []string{
				"demo.yaml:1: document 1: spec.roles[0].name",
			},
		},
		"faults in a DecoratorController": {
			file: head + widgets + "---\n" + strings.NewReplacer("{name: gadgets}", "{}", "sync:", "customize: {}, sink:").Replace(gadgets),
			want: []string{
				"demo.yaml:10: document 2: spec.hooks.customize",
				"demo.yaml:10: document 2: spec.hooks.sink",
				"demo.yaml:10: document 2: metadata.name",
				"demo.yaml:10: document 2: spec.hooks.sync",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("demo.yaml", []byte(test.file))
			var invalid *InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("Parse: %v, want an InvalidError", err)
			}
			var got []string
			for _, problem := range invalid.Problems {
				got = append(got, problem.Place.String()+": "+problem.Field)
				if problem.Detail == "" {
					t.Errorf("%s: nothing says what is wrong", problem.Place)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("places:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestMessagesAreBounded(t *testing.T) {
	file := head + widgets
	for i := range maxProblemsShown + 7 {
		file += fmt.Sprintf("  unknown%02d: %d\n", i, i)
	}
	_, err := Parse("demo.yaml", []byte(file))
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != maxProblemsShown+1 || lines[maxProblemsShown] != "and 7 more" {
		t.Errorf("%d lines, the last %q, want %d and \"and 7 more\"", len(lines), lines[len(lines)-1], maxProblemsShown+1)
	}
}

func TestTooManyRoles(t *testing.T) {
	file := head + "  roles:\n"
	for i := range MaxRoles + 1 {
		file += fmt.Sprintf("  - {name: role-%d, decorator: {resources: [{apiVersion: v1, resource: pods}], hooks: {sync: {exec: {command: [\"true\"]}}}}}\n", i)
	}
	_, err := Parse("demo.yaml", []byte(file))
	const want = "demo.yaml:1: document 1: spec.roles[500].name: Forbidden: use 500 roles or less in a group"
	if fmt.Sprint(err) != want {
		t.Errorf("Parse: %v\nwant: %s", err, want)
	}
}
