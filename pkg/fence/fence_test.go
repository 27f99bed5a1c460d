// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestNewRefusesWhatCannotBeFenced(t *testing.T) {
	valid := Options{Group: "demo", Namespace: "apps", ServiceAccount: "robot", Types: []Type{{Resource: schema.GroupResource{Resource: "pods"}}}}
	for _, tc := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no group", func(o *Options) { o.Group = "" }, `group: "" is not allowed`},
		{"a group that is no label", func(o *Options) { o.Group = "a.b" }, `group: "a.b" is not allowed`},
		{"no namespace", func(o *Options) { o.Namespace = "" }, `namespace: "" is not allowed`},
		{"a service account that would end the expression", func(o *Options) { o.ServiceAccount = "a' || 'b" }, `serviceAccount: "a' || 'b" is not allowed`},
		{"no types", func(o *Options) { o.Types = nil }, "types: there are none"},
		{"a type without a name", func(o *Options) { o.Types = []Type{{}} }, `types[0].resource: "" is not allowed`},
		{"a type twice", func(o *Options) { o.Types = append(o.Types, o.Types[0]) }, "types[1].resource: pods is there twice: name it once"},
		{"an attachment that is none", func(o *Options) {
			o.Types = []Type{{Resource: schema.GroupResource{Resource: "pods"}, Attachments: []schema.GroupResource{{Resource: "a/b"}}}}
		}, `types[0].attachments[0]: "a/b" is not allowed`},
	} {
		o := valid
		tc.change(&o)
		if f, err := New(o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, error %v, want %q", tc.name, f, err, tc.want)
		}
	}
}

// The order in which types are named makes no difference: a file may be sorted anew.
func TestDigestKnowsNoOrder(t *testing.T) {
	a, b, c := schema.GroupResource{Resource: "pods"}, schema.GroupResource{Resource: "configmaps"}, schema.GroupResource{Group: "apps", Resource: "deployments"}
	options := Options{Group: "demo", Namespace: "apps", ServiceAccount: "robot", Types: []Type{{Resource: a, Attachments: []schema.GroupResource{b, c, b}}, {Resource: c}}}
	one, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	options.Types = []Type{{Resource: c}, {Resource: a, Attachments: []schema.GroupResource{c, b}}}
	other, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(other.Policies)
	slices.Reverse(other.Bindings)
	if one.Digest() != other.Digest() {
		t.Errorf("digest %s, and %s in another order", one.Digest(), other.Digest())
	}
}

func TestDigestTellsWhatWasChanged(t *testing.T) {
	whole := group(t).Digest()
	for _, tc := range []struct {
		name   string
		change func(*Fence)
		same   bool
	}{
		{"a foreign label", func(f *Fence) { f.Policies[0].Labels["app.kubernetes.io/managed-by"] = "somebody" }, true},
		{"what the API server adds", func(f *Fence) { f.Policies[0].ResourceVersion, f.Policies[0].Kind = "7", "" }, true},
		{"a policy is missing", func(f *Fence) { f.Policies = f.Policies[1:] }, false},
		{"a binding is missing", func(f *Fence) { f.Bindings = f.Bindings[1:] }, false},
		{"an expression", func(f *Fence) { f.Policies[0].Spec.MatchConditions[0].Expression = "false" }, false},
		{"only a warning", func(f *Fence) {
			f.Bindings[0].Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn}
		}, false},
		{"failures let through", func(f *Fence) {
			ignore := admissionregistrationv1.Ignore
			f.Policies[0].Spec.FailurePolicy = &ignore
		}, false},
		{"our own label", func(f *Fence) { delete(f.Policies[0].Labels, LabelNamespace) }, false},
	} {
		f := group(t)
		tc.change(f)
		if same := f.Digest() == whole; same != tc.same {
			t.Errorf("%s: the digest is the same: %v, want %v", tc.name, same, tc.same)
		}
	}
}

// A name of a policy is one of the cluster: no two groups, and no two families of one, share it.
func TestNamesDiffer(t *testing.T) {
	seen := map[string]bool{}
	long := strings.Repeat("a", 60)
	for _, o := range []Options{
		{Group: "a", Namespace: "b"}, {Group: "b", Namespace: "a"}, {Group: long, Namespace: long},
	} {
		o.ServiceAccount = "robot"
		for _, resource := range []string{"pods", "pod"} {
			o.Types = append(o.Types, Type{Resource: schema.GroupResource{Resource: resource}},
				Type{Resource: schema.GroupResource{Group: long + "." + long + "." + long + ".example.com", Resource: resource}})
		}
		f, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range append(f.Policies, General().Policies...) {
			if seen[p.Name] && !strings.HasPrefix(p.Name, "guard.fence") && !strings.HasPrefix(p.Name, "sentinel.fence") || len(p.Name) > 253 {
				t.Errorf("the name %s, %d bytes long, is there twice or too long", p.Name, len(p.Name))
			}
			seen[p.Name] = true
		}
	}
}
