// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A document as kubectl get -o yaml prints it, with all that metacontroller's own API server adds.
const fromCluster = `
apiVersion: metacontroller.k8s.io/v1alpha1
kind: DecoratorController
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: "{}"
  creationTimestamp: "2026-03-01T12:00:00Z"
  generation: 3
  labels: {team: a}
  managedFields:
  - apiVersion: metacontroller.k8s.io/v1alpha1
    fieldsType: FieldsV1
    fieldsV1: {"f:spec": {}}
    manager: kubectl
    operation: Update
    time: "2026-03-01T12:00:00Z"
  name: service-per-pod
  resourceVersion: "1234"
  uid: 0b8e1c1e-8b0e-4b63-a3a5-3a5a4f0d4f0c
spec:
  attachments:
  - apiVersion: v1
    resource: services
    updateStrategy:
      method: InPlace
  - apiVersion: networking.k8s.io/v1
    resource: ingresses
  hooks:
    finalize:
      version: v1
      webhook:
        path: /finalize
        responseUnMarshallMode: loose
        service: {name: service-per-pod, namespace: metacontroller, port: 8080, protocol: http}
    sync:
      version: v1
      webhook:
        timeout: 10s
        url: http://service-per-pod.metacontroller/sync-service-per-pod
  resources:
  - apiVersion: apps/v1
    annotationSelector:
      matchAnnotations: {expose: "true"}
      matchExpressions:
      - {key: service-per-pod-label, operator: Exists}
    ignoreStatusChanges: true
    labelSelector:
      matchLabels: {app: web}
    resource: statefulsets
  resyncPeriodSeconds: 300
status: {}
`

func TestParseTakesADocumentAsTheClusterGivesIt(t *testing.T) {
	doc, errs := Parse([]byte(fromCluster), nil)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	if doc.Name() != "service-per-pod" || doc.Spec.ResyncPeriod() != 5*time.Minute {
		t.Errorf("name %q, period %s", doc.Name(), doc.Spec.ResyncPeriod())
	}
	if got := doc.Spec.Resources[0].GVR().String(); got != "apps/v1, Resource=statefulsets" {
		t.Errorf("resource %s", got)
	}
	if got := doc.Spec.Attachments[0].GVR().String(); got != "/v1, Resource=services" {
		t.Errorf("attachment %s", got)
	}
	if doc.Spec.Attachments[0].UpdateStrategy.Method != InPlace || doc.Spec.Attachments[1].UpdateStrategy.Method != "" {
		t.Errorf("attachments %+v", doc.Spec.Attachments)
	}
	if got := doc.written["metadata"].(map[string]any)["generation"]; got != int64(3) {
		t.Errorf("the hook would get generation %v", got)
	}
}

func TestParseTakesAProgramAsHook(t *testing.T) {
	doc, errs := Parse([]byte(replace(document, `webhook: {url: "http://hook/sync"}`,
		"exec: {command: [/hooks/sync, --fast], timeout: 2s, env: [{name: A, value: b}]}")), nil)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	if exec := doc.Spec.Hooks.Sync.Exec; exec == nil || len(exec.Command) != 2 || exec.Env[0].Value != "b" {
		t.Errorf("got %+v", exec)
	}
}

func TestParseRefuses(t *testing.T) {
	const sync = `webhook: {url: "http://hook/sync"}`
	const method = "updateStrategy: {method: InPlace}"
	tests := []struct {
		name, old, with string // with replaces old in document
		want            string
	}{
		// What metacontroller has and shardctl has not.
		{
			"customize", "  hooks:\n", "  hooks:\n    customize: {webhook: {url: http://hook}}\n",
			`spec.hooks.customize: Forbidden: not supported: shardctl does not send related objects to hooks: remove it, and read what the hook needs in the hook itself`,
		},
		{
			"hook v2", sync, "version: v2\n      " + sync,
			`spec.hooks.sync.version: Invalid value: "v2": shardctl speaks version v1 of the hook API only: use v1, or leave it out`,
		},
		{
			"etag", sync, `webhook: {url: "http://hook/sync", etag: {enabled: true}}`,
			`spec.hooks.sync.webhook.etag: Forbidden: not supported: shardctl does not cache answers: remove it`,
		},
		{
			"caBundle", sync, `webhook: {url: "http://hook/sync", caBundle: {inline: x}}`,
			`spec.hooks.sync.webhook.caBundle: Forbidden: not supported: shardctl trusts the system's certificate authorities only: remove it, and add the authority to the container image or set SSL_CERT_FILE`,
		},
		{
			"clientTLS", sync, `webhook: {url: "http://hook/sync", clientTLS: {}}`,
			`spec.hooks.sync.webhook.clientTLS: Forbidden: not supported: shardctl sends no client certificate to a hook: remove it`,
		},
		{
			"authorization", sync, `webhook: {url: "http://hook/sync", authorization: {}}`,
			`spec.hooks.sync.webhook.authorization: Forbidden: not supported: shardctl sends no credentials to a hook: remove it`,
		},
		{
			"basicAuth", sync, `webhook: {url: "http://hook/sync", basicAuth: {}}`,
			`spec.hooks.sync.webhook.basicAuth: Forbidden: not supported: shardctl sends no credentials to a hook: remove it`,
		},
		{
			"endpointConfigs", "spec:\n", "spec:\n  endpointConfigs: []\n",
			`spec.endpointConfigs: Forbidden: not supported: shardctl has no settings by host: remove it`,
		},
		{
			"connections", "spec:\n", "spec:\n  connections: []\n",
			`spec.connections: Forbidden: not supported: shardctl has no settings by host: remove it`,
		},
		{
			"defaultUpdateStrategy", "spec:\n", "spec:\n  defaultUpdateStrategy: {method: InPlace}\n",
			`spec.defaultUpdateStrategy: Forbidden: not supported: set updateStrategy on each rule of spec.attachments instead`,
		},
		{
			"rolling in place", method, "updateStrategy: {method: RollingInPlace}",
			`spec.attachments[0].updateStrategy.method: Invalid value: "RollingInPlace": a DecoratorController has no rolling updates: use InPlace`,
		},
		{
			"rolling recreate", method, "updateStrategy: {method: RollingRecreate}",
			`spec.attachments[0].updateStrategy.method: Invalid value: "RollingRecreate": a DecoratorController has no rolling updates: use Recreate`,
		},

		// What nobody has.
		{
			"unknown field", "    resource: stages\n", "    resource: stages\n    labelselector: {}\n",
			`spec.resources[1].labelselector: Forbidden: unknown field: remove it, or correct its name`,
		},
		{"unknown field at the top", "spec:\n", "sepc: {}\nspec:\n", `sepc: Forbidden: unknown field: remove it, or correct its name`},
		{
			"duplicate field", "spec:\n", "kind: DecoratorController\nspec:\n",
			"(document): Invalid value: \"\": is not YAML or JSON: yaml: unmarshal errors:\n  line 6: key \"kind\" already set in map",
		},
		{
			"text where a list should be", "  attachments:\n", "  attachments: none\n  x:\n",
			`spec.attachments: Invalid value: "string": must be a list`,
		},
		{
			"number where text should be", "    resource: stages\n", "    resource: 7\n",
			`spec.resources[1].resource: Invalid value: "number": must be a string`,
		},
		{
			"text where a number should be", "spec:\n", "spec:\n  resyncPeriodSeconds: soon\n",
			`spec.resyncPeriodSeconds: Invalid value: "string": must be a whole number`,
		},
		{
			"fraction where a whole number should be", "spec:\n", "spec:\n  resyncPeriodSeconds: 1.5\n",
			`spec.resyncPeriodSeconds: Invalid value: "number 1.5": must be a whole number`,
		},
		{"list where an object should be", sync, "webhook: [a]", `spec.hooks.sync.webhook: Invalid value: "array": must be an object`},
		{
			"text where a flag should be", "    resource: stages\n", "    resource: stages\n    ignoreStatusChanges: maybe\n",
			`spec.resources[1].ignoreStatusChanges: Invalid value: "string": must be true or false`,
		},
		{
			"number in a map of text", `{decorate: "yes"}`, `{decorate: 1}`,
			`spec.resources[0].labelSelector.matchLabels.decorate: Invalid value: "number": must be a string`,
		},

		// What is missing or wrong.
		{
			"apiVersion", "metacontroller.k8s.io/v1alpha1", "metacontroller.k8s.io/v2",
			`apiVersion: Unsupported value: "metacontroller.k8s.io/v2": supported values: "metacontroller.k8s.io/v1alpha1"`,
		},
		{
			"kind", "kind: DecoratorController", "kind: CompositeController",
			`kind: Unsupported value: "CompositeController": supported values: "DecoratorController"`,
		},
		{
			"no name", "  name: tester\n", "  labels: {}\n",
			`metadata.name: Required value: name the DecoratorController: its attachments are marked with the name`,
		},
		{
			"name", "  name: tester\n", "  name: Tester\n",
			`metadata.name: Invalid value: "Tester": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
		},
		{
			"apiVersion of a resource", "apiVersion: example.com/v1\n    resource: widgets", "apiVersion: example.com/v1/x\n    resource: widgets",
			`spec.resources[0].apiVersion: Invalid value: "example.com/v1/x": use group/version, or just version for the core group: apps/v1, v1`,
		},
		{
			"no apiVersion", "apiVersion: example.com/v1\n    resource: widgets", "resource: widgets",
			`spec.resources[0].apiVersion: Invalid value: "": use group/version, or just version for the core group: apps/v1, v1`,
		},
		{
			"kind in place of a resource", "resource: widgets", "resource: Widget",
			`spec.resources[0].resource: Invalid value: "Widget": use the lowercase plural name of the type: deployments, not Deployment`,
		},
		{
			"subresource", "resource: pods", "resource: pods/status",
			`spec.attachments[1].resource: Invalid value: "pods/status": use the lowercase plural name of the type: deployments, not Deployment`,
		},
		{
			"no resources", document[strings.Index(document, "  resources:"):strings.Index(document, "  attachments:")], "  resources: []\n",
			`spec.resources: Required value: name at least one type of object to decorate`,
		},
		{
			"type twice", "resource: stages", "resource: widgets",
			`spec.resources[1].resource: Duplicate value: "widgets": one rule for each type: merge the rules of widgets.example.com`,
		},
		{
			"attachment type twice", "- apiVersion: v1\n    resource: pods", "- apiVersion: v2\n    resource: configmaps",
			`spec.attachments[1].resource: Duplicate value: "configmaps": one rule for each type: merge the rules of configmaps`,
		},
		{
			"update method", method, "updateStrategy: {method: Rolling}",
			`spec.attachments[0].updateStrategy.method: Unsupported value: "Rolling": supported values: "OnDelete", "Recreate", "InPlace"`,
		},
		{
			"label selector", "matchLabels:", "matchExpressions: [{key: a, operator: Is}]\n      matchLabels:",
			`spec.resources[0].labelSelector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator`,
		},
		{
			"annotation selector", "    labelSelector:\n      matchLabels:", "    annotationSelector:\n      matchAnnotations:",
			"",
		},
		{
			"annotation that no selector can select", "    labelSelector:\n      matchLabels: {decorate: \"yes\"}", "    annotationSelector:\n      matchAnnotations: {a: \"no label\"}",
			`spec.resources[0].annotationSelector.matchAnnotations: Invalid value: "no label": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
		},
		{
			"resync period", "spec:\n", "spec:\n  resyncPeriodSeconds: 0\n",
			`spec.resyncPeriodSeconds: Invalid value: 0: use 1 or more, or leave it out for no resync`,
		},
		{
			"no sync hook", "    sync:\n", "    finalize:\n",
			`spec.hooks.sync: Required value: set the hook that decides what the objects should have`,
		},
		{
			"timeout", sync, `webhook: {url: "http://hook/sync", timeout: 10}`,
			`spec.hooks.sync.webhook.timeout: Invalid value: "number": must be a string`,
		},
		{
			"hook", sync, `webhook: {url: "hook/sync"}`,
			`spec.hooks.sync.webhook.url: Invalid value: "hook/sync": must be a full URL that begins with http:// or https://, for example http://my-hook.my-namespace/sync`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, errs := Parse([]byte(replace(document, tt.old, tt.with)), nil)
			var got []string
			for _, err := range errs {
				got = append(got, err.Error())
			}
			if s := strings.Join(got, "\n"); s != tt.want && !strings.HasPrefix(s, tt.want+"\n") {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
			if (doc == nil) != (tt.want != "") {
				t.Errorf("document %v", doc)
			}
		})
	}
}

func TestParseRefusesADocumentAsAWhole(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no YAML", "a: [", "(document): Invalid value: \"\": is not YAML or JSON: yaml: line 1: did not find expected node content"},
		{"text", "hello", `(document): Invalid value: "string": must be an object`},
		{"list", "[1]", `(document): Invalid value: "array": must be an object`},
		{"nothing", "", `apiVersion: Unsupported value: "": supported values: "metacontroller.k8s.io/v1alpha1"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, errs := Parse([]byte(tt.text), nil)
			if len(errs) == 0 || errs[0].Error() != tt.want {
				t.Errorf("got %v, want %s first", errs, tt.want)
			}
		})
	}
}

func TestErrorsAreBelowThePathOfTheDocument(t *testing.T) {
	path := field.NewPath("roles").Index(2).Child("decorator")
	for text, want := range map[string]string{
		replace(document, "resource: stages", "resource: 7"):                "roles[2].decorator.spec.resources[1].resource",
		replace(document, "resource: stages", "resource: Stage"):            "roles[2].decorator.spec.resources[1].resource",
		replace(document, "resource: stages", "resource: stages\n    x: 1"): "roles[2].decorator.spec.resources[1].x",
		"hello": "roles[2].decorator",
	} {
		_, errs := Parse([]byte(text), path)
		if len(errs) != 1 || errs[0].Field != want {
			t.Errorf("got %v, want one error at %s", errs, want)
		}
	}
}

func TestNameMustMakeAFinalizerIfThereIsAFinalizeHook(t *testing.T) {
	long := strings.Repeat("x", 50)
	if _, errs := Parse([]byte(replace(document, "name: tester", "name: "+long)), nil); len(errs) > 0 {
		t.Errorf("without finalize hook: %v", errs)
	}
	_, errs := Parse([]byte(replace(withFinalize, "name: tester", "name: "+long)), nil)
	if len(errs) != 1 || errs[0].Field != "metadata.name" || !strings.Contains(errs[0].Detail, "must be a valid finalizer") {
		t.Errorf("with finalize hook: %v", errs)
	}
}
