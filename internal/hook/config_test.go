// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func TestValidate(t *testing.T) {
	webhook := func(w Webhook) Config { return Config{Webhook: &w} }
	program := func(e Exec) Config { return Config{Exec: &e} }
	tests := []struct {
		name   string
		config Config
		want   string // the only error, "" if there is none
	}{
		{"url", webhook(Webhook{URL: "https://hook.example/sync", Timeout: "1m30s", ResponseUnMarshallMode: "loose"}), ""},
		{"url wins over service", webhook(Webhook{URL: "http://hook", Service: &Service{}}), ""},
		{"service", webhook(Webhook{Service: &Service{Name: "hook", Namespace: "ns", Port: ptr.To[int32](8080), Protocol: "https"}, Path: "/sync"}), ""},
		{"program", program(Exec{Command: []string{"sync"}, Env: []EnvVar{{"A", "b"}}}), ""},
		{"v1", Config{Version: "v1", Exec: &Exec{Command: []string{"sync"}}}, ""},

		{
			"v2",
			Config{Version: "v2", Exec: &Exec{Command: []string{"sync"}}},
			`h.version: Invalid value: "v2": shardctl speaks version v1 of the hook API only: use v1, or leave it out`,
		},
		{"neither", Config{}, `h: Required value: say how to call the hook: set webhook or exec`},
		{
			"both",
			Config{Webhook: &Webhook{URL: "http://hook"}, Exec: &Exec{Command: []string{"sync"}}},
			`h.exec: Forbidden: a hook has one way to be called: remove webhook or exec`,
		},
		{"no url", webhook(Webhook{}), `h.webhook: Required value: say where the hook is: set url, or service and path`},
		{
			"no scheme", webhook(Webhook{URL: "hook:80/sync"}),
			`h.webhook.url: Invalid value: "hook:80/sync": must be a full URL that begins with http:// or https://, for example http://my-hook.my-namespace/sync`,
		},
		{"no url at all", webhook(Webhook{URL: "http://a b"}), `h.webhook.url: Invalid value: "": is not a URL: use one like http://my-hook.my-namespace/sync`},
		{
			"no path", webhook(Webhook{Service: &Service{Name: "hook", Namespace: "ns"}}),
			`h.webhook.path: Invalid value: "": with service, a path that begins with / is needed, for example /sync`,
		},
		{
			"service name", webhook(Webhook{Service: &Service{Name: "", Namespace: "ns"}, Path: "/"}),
			`h.webhook.service.name: Invalid value: "": must be the name of a Service: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
		},
		{
			"service port", webhook(Webhook{Service: &Service{Name: "hook", Namespace: "ns", Port: ptr.To[int32](0)}, Path: "/"}),
			`h.webhook.service.port: Invalid value: 0: must be between 1 and 65535, inclusive`,
		},
		{
			"service protocol", webhook(Webhook{Service: &Service{Name: "hook", Namespace: "ns", Protocol: "TCP"}, Path: "/"}),
			`h.webhook.service.protocol: Unsupported value: "TCP": supported values: "http", "https"`,
		},
		{
			"timeout zero", webhook(Webhook{URL: "http://hook", Timeout: "0s"}),
			`h.webhook.timeout: Invalid value: "0s": must be more than 0 and at most 1h0m0s; leave it out for the default`,
		},
		{
			"timeout without unit", webhook(Webhook{URL: "http://hook", Timeout: "10"}),
			`h.webhook.timeout: Invalid value: "10": is not a duration: use a number with a unit, for example 10s or 1m30s`,
		},
		{
			"timeout too long", program(Exec{Command: []string{"sync"}, Timeout: "2h"}),
			`h.exec.timeout: Invalid value: "2h": must be more than 0 and at most 1h0m0s; leave it out for the default`,
		},
		{
			"unmarshall mode", webhook(Webhook{URL: "http://hook", ResponseUnMarshallMode: "lax"}),
			`h.webhook.responseUnMarshallMode: Unsupported value: "lax": supported values: "loose", "strict"`,
		},
		{"no command", program(Exec{}), `h.exec.command: Required value: name the program and its arguments, for example [/hooks/sync, --verbose]`},
		{
			"environment", program(Exec{Command: []string{"sync"}, Env: []EnvVar{{"A", "1"}, {"B=C", "1"}}}),
			`h.exec.env[1].name: Invalid value: "B=C": a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')`,
		},
		{
			"variable of the term", program(Exec{Command: []string{"sync"}, Env: []EnvVar{{"SHARDCTL_EPOCH", "7"}}}),
			`h.exec.env[0].name: Forbidden: SHARDCTL_EPOCH is set for each call, to tell the program what it is called for: use another name`,
		},
		{"argument", program(Exec{Command: []string{"sync", "a\x00b"}}), `h.exec.command[1]: Invalid value: "a\x00b": must not contain a NUL character`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, err := range tt.config.Validate(field.NewPath("h")) {
				got += err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if _, err := New(&tt.config); (err == nil) != (tt.want == "") {
				t.Errorf("New: %v", err)
			}
		})
	}
}

func TestWhereAServiceIsCalled(t *testing.T) {
	tests := []struct {
		service Service
		want    string
	}{
		{Service{Name: "hook", Namespace: "ns"}, "http://hook.ns.svc:80/sync"},
		{Service{Name: "hook", Namespace: "ns", Port: ptr.To[int32](8443), Protocol: "https"}, "https://hook.ns.svc:8443/sync"},
	}
	for _, tt := range tests {
		w := &Webhook{Service: &tt.service, Path: "/sync"}
		if got := w.target(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestTimeoutDefaultsToTenSeconds(t *testing.T) {
	h, err := New(&Config{Webhook: &Webhook{URL: "http://hook"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.(*webhook).timeout; got != 10*time.Second {
		t.Errorf("timeout %s, want 10s", got)
	}
}
