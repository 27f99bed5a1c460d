// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"strings"
	"testing"
)

const configuration = `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata: {name: group}
spec:
  http: {address: "127.0.0.1:0"}
  roles:
  - name: widgets
    decorator:
      resources: [{apiVersion: demo.shardctl.dev/v1, resource: widgets}]
      attachments: [{apiVersion: v1, resource: configmaps}]
      hooks: {sync: {webhook: {url: "http://127.0.0.1:1/sync"}}}
`

func TestOptionsThatCannotBeUsed(t *testing.T) {
	usable := Options{Cluster: stubCluster{}, Binary: "shardctl", Dir: "logs", Config: []byte(configuration)}
	for _, test := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no cluster", func(o *Options) { o.Cluster = nil }, "cluster: is missing"},
		{"no binary", func(o *Options) { o.Binary = "" }, "binary: is missing: use the path that Build returns"},
		{"no directory", func(o *Options) { o.Dir = "" }, "dir: is missing: name a directory for the configuration and the logs"},
		{"no configuration", func(o *Options) { o.Config = nil }, "config: config.yaml"},
		{
			"a port that all would want",
			func(o *Options) { o.Config = []byte(strings.Replace(configuration, "127.0.0.1:0", ":8080", 1)) },
			`config: spec.http.address: ":8080" would be taken by the first replica: use "127.0.0.1:0"`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := usable
			test.change(&options)
			_, err := New(t.Context(), options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New returned %v, want %q", err, test.want)
			}
		})
	}
}

func TestNamespace(t *testing.T) {
	inSpec := strings.Replace(configuration, "spec:", "spec:\n  namespace: of-config", 1)
	for _, test := range []struct{ name, config, option, want string }{
		{"of the configuration", inSpec, "of-option", "of-config"},
		{"of the options", configuration, "of-option", "of-option"},
		{"of the group", configuration, "", "group"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options, _, err := Options{
				Cluster: stubCluster{}, Binary: "shardctl", Dir: "logs", Config: []byte(test.config), Namespace: test.option,
			}.withDefaults()
			if err != nil || options.Namespace != test.want {
				t.Errorf("the namespace is %q (%v), want %q", options.Namespace, err, test.want)
			}
		})
	}
}
