// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestValidate(t *testing.T) {
	http := func(url string) Config { return Config{HTTP: &HTTP{URL: url}} }
	tcp := func(address string) Config { return Config{TCP: &TCP{Address: address}} }
	program := func(command ...string) Config { return Config{Exec: &Exec{Command: command}} }
	const (
		fullURL = "must be a full URL that begins with http:// or https://, for example http://127.0.0.1:8080/ready"
		port    = "has no usable port: use a number from 1 to 65535, for example 127.0.0.1:5432"
		address = "must be host:port, for example 127.0.0.1:5432"
	)
	for _, tc := range []struct {
		name   string
		config Config
		want   string // the only error, empty if there is none
	}{
		{"http", http("http://127.0.0.1:8080/ready?deep=1"), ""},
		{"https", http("https://db.example"), ""},
		{"tcp", tcp("127.0.0.1:5432"), ""},
		{"tcp, IPv6", tcp("[::1]:5432"), ""},
		{"exec", program("ready", ""), ""},
		{"pod", Config{Pod: &Pod{}}, ""},

		{"none", Config{}, `p: Required value: names no probe: set one of http, tcp, exec, pod`},
		{
			"two",
			Config{TCP: &TCP{Address: "a:1"}, Pod: &Pod{}},
			`p.pod: Forbidden: there is one probe for a role, and p.tcp is set: remove one of them`,
		},
		{"no scheme", http("127.0.0.1:8080/ready"), `p.http.url: Invalid value: "": is not a URL: use one like http://127.0.0.1:8080/ready`},
		{"another scheme", http("ftp://a:b@c/"), `p.http.url: Invalid value: "ftp://a:xxxxx@c/": ` + fullURL},
		{"no host", http("http:///ready"), `p.http.url: Invalid value: "http:///ready": ` + fullURL},
		{"no URL at all", http("http://a b"), `p.http.url: Invalid value: "": is not a URL: use one like http://127.0.0.1:8080/ready`},
		{"no port", tcp("127.0.0.1"), `p.tcp.address: Invalid value: "127.0.0.1": ` + address},
		{"no host of a port", tcp(":5432"), `p.tcp.address: Invalid value: ":5432": ` + address},
		{"port 0", tcp("a:0"), `p.tcp.address: Invalid value: "a:0": ` + port},
		{"port too high", tcp("a:65536"), `p.tcp.address: Invalid value: "a:65536": ` + port},
		{"port by name", tcp("a:http"), `p.tcp.address: Invalid value: "a:http": ` + port},
		{"no command", program(), `p.exec.command: Required value: name the program and its arguments, for example [/usr/local/bin/ready, --quiet]`},
		{"an argument with NUL", program("ready", "a\x00b"), `p.exec.command[1]: Invalid value: "a\x00b": must not contain a NUL character`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, err := range tc.config.Validate(field.NewPath("p")) {
				got = append(got, err.Error())
			}
			if got := strings.Join(got, "\n"); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestNewRefusesWhatIsNoProbe(t *testing.T) {
	_, err := New(&Config{}, nil)
	want(t, err, "names no probe: set one of http, tcp, exec, pod")
	_, err = New(&Config{Pod: &Pod{}}, nil)
	want(t, err, "pod: this process does not know which Pod it runs in: set POD_NAME and POD_UID by the downward API")
}
