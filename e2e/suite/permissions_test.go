// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

// permissionsConfiguration has a group make use of every permission that there is: a type in buckets, with a finalizer, a
// status and attachments of every update strategy, and a type that is not there at first.
const permissionsConfiguration = `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata: {name: NAME}
spec:
  namespace: NAME
  timings: {preset: fast}
  http: {address: "127.0.0.1:0"}
  roles:
  - name: widgets
    buckets: 4
    decorator:
      resources: [{apiVersion: GROUP/v1, resource: widgets}]
      attachments:
      - {apiVersion: v1, resource: configmaps, updateStrategy: {method: InPlace}}
      - {apiVersion: v1, resource: secrets, updateStrategy: {method: Recreate}}
      - {apiVersion: v1, resource: serviceaccounts, updateStrategy: {method: OnDelete}}
      hooks: {sync: {webhook: {url: "URL"}}, finalize: {webhook: {url: "URL"}}}
  - name: gadgets
    decorator:
      resources: [{apiVersion: GROUP/v1, resource: gadgets}]
      hooks: {sync: {webhook: {url: "URL"}}}
`

func (c *cluster) permissionsConfiguration(url string) []byte {
	return []byte(strings.NewReplacer("NAME", c.group, "GROUP", c.apiGroup, "URL", url).Replace(permissionsConfiguration))
}

// deployForPermissions installs the group of that configuration; its gadgets are not served yet.
func (c *cluster) deployForPermissions(t *testing.T) (*deployment, *objects) {
	t.Helper()
	widgets := c.createTypes(t, "widgets")[0]
	hook := serveHook(t, answerWith(attachingEveryKind))
	return &deployment{cluster: c, Fleet: fleet.Start(t, fleet.Options{
		Cluster: controlPlane, Binary: binary, Config: c.permissionsConfiguration(hook.URL), LayoutRecord: true,
		Env: []string{"GORACE=" + os.Getenv("GORACE")},
	})}, c.watch(t, widgets)
}

// attachingEveryKind answers for a widget with an attachment of each kind, which shows the size, and for one that is deleted
// with none.
func attachingEveryKind(request hookRequest) hookAnswer {
	answer := reflectSpec(request)
	if request.Finalizing {
		left := 0
		for _, byName := range request.Attachments {
			left += len(byName)
		}
		answer.Finalized = left == 0
		return answer
	}
	if request.Object.GetKind() != "Widget" {
		return answer
	}
	size := fmt.Sprint(sizeOf(&request.Object))
	for kind, content := range map[string]map[string]any{
		"ConfigMap":      {"data": map[string]any{"size": size}},
		"Secret":         {"data": map[string]any{"size": base64.StdEncoding.EncodeToString([]byte(size))}},
		"ServiceAccount": {"automountServiceAccountToken": size == "0"},
	} {
		content["apiVersion"], content["kind"] = "v1", kind
		content["metadata"] = map[string]any{"name": "widget-" + request.Object.GetName()}
		answer.Attachments = append(answer.Attachments, content)
	}
	return answer
}

// Replicas that may do what `shardctl rbac` prints, and nothing more, are never refused anything, whatever they do; and of
// what it prints they make use.
func TestPrintedPermissionsAreEnoughAndUsed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d, widgets := c.deployForPermissions(t)
	d.checkGrantedAsPrinted(t)
	v1, v2 := d.replicaSet(t, 1, 2), d.replicaSet(t, 2, 1)
	widgets.create(t, 4)

	d.launchOf(t, v1, "a", d.withTerminationLog(t, "a"))
	d.launchOf(t, v1, "b", d.withTerminationLog(t, "b"))
	d.await(t, "both replicas to share the buckets", fleet.All(holds("a", 2), holds("b", 2)))
	widgets.awaitReconciled(t, 4)
	before := c.awaitAttached(t, "0")
	widgets.resize(t, 4, 1)
	widgets.awaitReconciled(t, 4)
	after := c.awaitAttached(t, "1")
	if after.configMap != before.configMap || after.secret == before.secret || after.serviceAccount != before.serviceAccount {
		t.Errorf("the attachments were %v and are %v: want the Secret made anew, and the others not", before, after)
	}
	gadgets := c.watch(t, c.createTypes(t, "gadgets")[0])
	gadgets.create(t, 1)
	gadgets.awaitReconciled(t, 1)

	if err := d.Replica("a").Kill(); err != nil {
		t.Fatal(err)
	}
	d.setStatus(t, d.Replica("a"), corev1.PodRunning, corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, Message: d.terminationMessage(t, d.Replica("a"))},
	})
	d.await(t, "the other one to hold everything", fleet.All(fleet.Gone("a"), holds("b", 5)))
	d.launchOf(t, v2, "c", d.withTerminationLog(t, "c"))
	d.await(t, "the newer version to hold everything", holds("c", 5))
	d.awaitCost(t, "b", emptied)

	if err := widgets.client().Delete(t.Context(), "0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	widgets.awaitReconciled(t, 3)
	d.terminate(t, d.Replica("b"))
	d.terminate(t, d.Replica("c"))

	done := d.requests(t)
	if len(done.refused) > 0 {
		t.Errorf("the replicas were refused %q", slices.Sorted(maps.Keys(done.refused)))
	}
	for _, one := range slices.Sorted(maps.Keys(d.granted(t))) {
		if why, excused := unused[one]; !done.allowed[one] && !excused {
			t.Errorf("the replicas have not made use of %q", one)
		} else if !done.allowed[one] {
			t.Logf("not made use of: %s: %s", one, why)
		}
	}
}

// Why a run like this one may do without a permission.
const (
	streamed   = "a watch begins with a list of its own, if the API server can do that"
	onConflict = "only after a conflict with somebody else's write"
	inTheWay   = "only if something is in the way that the cache does not show yet"
	unanswered = "only after a write whose connection broke"
)

// unused are the permissions that it need not make use of, and why.
var unused = map[string]string{
	"list pods": streamed, "list customresourcedefinitions": streamed, "list configmaps": streamed, "list secrets": streamed,
	"list serviceaccounts": streamed, "list widgets": streamed, "list gadgets": streamed,
	"get leases":     onConflict,
	"get configmaps": inTheWay, "get secrets": inTheWay, "get serviceaccounts": inTheWay,
	"get widgets": unanswered, "get gadgets": unanswered,
	"get controllerrevisions":   "for StatefulSets and DaemonSets",
	"update widgets/finalizers": "no request: an admission plugin looks at it that this API server does not have",
	"update gadgets":            "the hook asks for a status only",
	"patch events":              "only for what is told again and again",
}

// Each verb that is required is missed, by name, by a replica that may do all the others.
func TestReplicaNamesThePermissionThatIsMissing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.createNamespace(t)
	c.createTypes(t, "widgets", "gadgets")
	file := writeFile(t, string(c.permissionsConfiguration("http://127.0.0.1:1/")))
	required := printedGrant(t, file, "--no-optional")

	const atATime = 12 // most of the time they wait for the permission to be granted after all
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(atATime)
	tried := 0
	try := func(rules func(*grant) *[]rbacv1.PolicyRule, where string) {
		for i, rule := range *rules(required) {
			for _, verb := range rule.Verbs {
				tried++
				less := required.clone()
				less.rename(fmt.Sprintf("lacks-%d", tried))
				*rules(less) = withoutVerb(*rules(less), i, verb)
				missing := fmt.Sprintf("- %s %s in %s: to ", verb, nameOf(rule), where)
				g.Go(func() error { return c.checkMissed(ctx, file, less, missing) })
			}
		}
	}
	try(func(g *grant) *[]rbacv1.PolicyRule { return &g.role.Rules }, "namespace "+c.namespace)
	try(func(g *grant) *[]rbacv1.PolicyRule { return &g.clusterRole.Rules }, "all namespaces")
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d permissions were missed", tried)
	leases, err := c.kube.CoordinationV1().Leases(c.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(leases.Items) > 0 {
		t.Errorf("%d Leases are there (%v), want none: nobody was to join", len(leases.Items), err)
	}
}

// withoutVerb takes a verb out of one of the rules, and the rule itself if it was the last.
func withoutVerb(rules []rbacv1.PolicyRule, i int, verb string) []rbacv1.PolicyRule {
	rules[i].Verbs = slices.DeleteFunc(rules[i].Verbs, func(v string) bool { return v == verb })
	return slices.DeleteFunc(rules, func(r rbacv1.PolicyRule) bool { return len(r.Verbs) == 0 })
}

// checkMissed runs a replica with what the grant allows, which is to end with a message that names this and nothing else.
func (c *cluster) checkMissed(ctx context.Context, file string, less *grant, missing string) error {
	account := less.role.Name
	pod, err := controlPlane.NewReplica(ctx, controlplane.ReplicaOptions{Namespace: c.namespace, Name: account, ServiceAccount: account})
	if err != nil {
		return err
	}
	if err := less.create(ctx, c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "run", "--config="+file, "--kubeconfig="+pod.Kubeconfig, "--termination-log=-")
	cmd.Env = append(os.Environ(), "POD_NAME="+pod.Name, "POD_UID="+string(pod.UID))
	out, err := cmd.CombinedOutput()
	text := string(out)
	if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Count(text, "\n- ") != 1 ||
		!strings.Contains(text, "\n"+missing) || !strings.Contains(text, "Apply what `shardctl rbac FILE` prints") {
		return fmt.Errorf("it ended with %d (%v), want 1 and a message with %q and no other permission; it said:\n%s", code, err, missing, text)
	}
	return nil
}

// What is optional a replica does without, and says what is lost.
func TestReplicaDoesWithoutOptionalPermissions(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d, widgets := c.deployForPermissions(t)
	required := printedGrant(t, d.configuration(), "--no-optional", "--service-account=shardctl")
	d.permit(t, required.role.Rules, required.clusterRole.Rules)
	widgets.create(t, 2)
	d.launch(t, "a")
	widgets.awaitReconciled(t, 2)
	log, here, everywhere := d.log(t, "a"), " in namespace "+c.namespace, " in all namespaces"
	for _, what := range []string{
		"get pods" + here, "list, watch pods" + here, "patch pods" + here, "get replicasets.apps" + here, "get controllerrevisions.apps" + here,
		"get widgets." + c.apiGroup + everywhere, "get gadgets." + c.apiGroup + everywhere, "update widgets." + c.apiGroup + "/finalizers" + everywhere, "list, watch customresourcedefinitions.apiextensions.k8s.io" + everywhere,
	} {
		if n := strings.Count(log, `"An optional permission is missing" logger="shardctl" missing="`+what+`"`); n != 1 {
			t.Errorf("the log says %d times that %q is missing, want once:\n%s", n, what, log)
		}
	}
	d.terminate(t, d.Replica("a"))
}

// grant is what `shardctl rbac` prints.
type grant struct {
	role           *rbacv1.Role
	binding        *rbacv1.RoleBinding
	clusterRole    *rbacv1.ClusterRole
	clusterBinding *rbacv1.ClusterRoleBinding
}

func printedGrant(t *testing.T, file string, args ...string) *grant {
	t.Helper()
	out, code := shardctl(t, append([]string{"rbac", file}, args...)...)
	documents := strings.Split(out, "---\n")
	if code != 0 || len(documents) != 5 {
		t.Fatalf("shardctl rbac: exit code %d and\n%s", code, out)
	}
	g := &grant{&rbacv1.Role{}, &rbacv1.RoleBinding{}, &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleBinding{}}
	for i, object := range []any{g.role, g.binding, g.clusterRole, g.clusterBinding} {
		if err := yaml.UnmarshalStrict([]byte(documents[i+1]), object); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func (g *grant) clone() *grant {
	return &grant{g.role.DeepCopy(), g.binding.DeepCopy(), g.clusterRole.DeepCopy(), g.clusterBinding.DeepCopy()}
}

// rename makes it that of a service account of this name, under names of its own.
func (g *grant) rename(account string) {
	wide := g.role.Namespace + "-" + account
	g.role.Name, g.binding.Name, g.binding.RoleRef.Name, g.binding.Subjects[0].Name = account, account, account, account
	g.clusterRole.Name, g.clusterBinding.Name, g.clusterBinding.RoleRef.Name, g.clusterBinding.Subjects[0].Name = wide, wide, wide, account
}

func (g *grant) create(ctx context.Context, c *cluster) error {
	api := c.kube.RbacV1()
	_, err1 := api.Roles(c.namespace).Create(ctx, g.role, metav1.CreateOptions{})
	_, err2 := api.RoleBindings(c.namespace).Create(ctx, g.binding, metav1.CreateOptions{})
	_, err3 := api.ClusterRoles().Create(ctx, g.clusterRole, metav1.CreateOptions{})
	_, err4 := api.ClusterRoleBindings().Create(ctx, g.clusterBinding, metav1.CreateOptions{})
	return errors.Join(err1, err2, err3, err4)
}

// nameOf is what a rule of one resource is about, for people.
func nameOf(rule rbacv1.PolicyRule) string {
	resource, subresource, has := strings.Cut(rule.Resources[0], "/")
	name := schema.GroupResource{Group: rule.APIGroups[0], Resource: resource}.String()
	if has {
		name += "/" + subresource
	}
	return name
}

// configuration is the file that the replicas run with.
func (d *deployment) configuration() string { return filepath.Join(d.LogDir(), "config.yaml") }

// roles are what the replicas may do now.
func (d *deployment) roles(t *testing.T) (*rbacv1.Role, *rbacv1.ClusterRole) {
	t.Helper()
	api, mine := d.cluster.kube.RbacV1(), metav1.ListOptions{LabelSelector: fleet.NamespaceLabel + "=" + d.Namespace()}
	own, err := api.Roles(d.Namespace()).List(t.Context(), mine)
	if err != nil || len(own.Items) != 1 {
		t.Fatalf("%d roles: %v", len(own.Items), err)
	}
	wide, err := api.ClusterRoles().List(t.Context(), mine)
	if err != nil || len(wide.Items) != 1 {
		t.Fatalf("%d cluster roles: %v", len(wide.Items), err)
	}
	return &own.Items[0], &wide.Items[0]
}

// permit changes what the replicas may do.
func (d *deployment) permit(t *testing.T, inNamespace, everywhere []rbacv1.PolicyRule) {
	t.Helper()
	own, wide := d.roles(t)
	own.Rules, wide.Rules = inNamespace, everywhere
	if _, err := d.cluster.kube.RbacV1().Roles(d.Namespace()).Update(t.Context(), own, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.cluster.kube.RbacV1().ClusterRoles().Update(t.Context(), wide, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// revoke takes the replicas' permissions for a type away, until they are restored.
func (d *deployment) revoke(t *testing.T, resource string) (restore func()) {
	t.Helper()
	own, wide := d.roles(t)
	others := func(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
		return slices.DeleteFunc(slices.Clone(rules), func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, resource) })
	}
	d.permit(t, others(own.Rules), others(wide.Rules))
	return func() { d.permit(t, own.Rules, wide.Rules) }
}

// checkGrantedAsPrinted fails the test unless the replicas may do exactly what `shardctl rbac` prints.
func (d *deployment) checkGrantedAsPrinted(t *testing.T) {
	t.Helper()
	printed := printedGrant(t, d.configuration(), "--service-account=shardctl")
	own, wide := d.roles(t)
	if !reflect.DeepEqual(own.Rules, printed.role.Rules) || !reflect.DeepEqual(wide.Rules, printed.clusterRole.Rules) {
		t.Errorf("the fleet has granted\n%v\n%v\nprinted is\n%v\n%v", own.Rules, wide.Rules, printed.role.Rules, printed.clusterRole.Rules)
	}
}

// granted is what the replicas may do, as "verb resource".
func (d *deployment) granted(t *testing.T) map[string]bool {
	t.Helper()
	own, wide := d.roles(t)
	all := map[string]bool{}
	for _, rule := range slices.Concat(own.Rules, wide.Rules) {
		for _, verb := range rule.Verbs {
			all[verb+" "+rule.Resources[0]] = true
		}
	}
	return all
}

// requests are those of the replicas, as "verb resource", by whether the API server let them do it.
type requests struct{ allowed, refused map[string]bool }

// requests reads what the replicas have asked of the API server so far.
func (d *deployment) requests(t *testing.T) requests {
	t.Helper()
	file, err := os.Open(controlPlane.AuditLogPath())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	user := []byte(`"username":"system:serviceaccount:` + d.Namespace() + `:shardctl"`)
	done := requests{allowed: map[string]bool{}, refused: map[string]bool{}}
	for lines := bufio.NewReaderSize(file, 1<<20); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return done
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(line, user) {
			done.add(t, line)
		}
	}
}

func (r requests) add(t *testing.T, line []byte) {
	t.Helper()
	var event struct {
		Verb       string `json:"verb"`
		RequestURI string `json:"requestURI"`
		ObjectRef  struct {
			Resource    string `json:"resource"`
			Subresource string `json:"subresource"`
		} `json:"objectRef"`
		ResponseStatus struct {
			Code int `json:"code"`
		} `json:"responseStatus"`
	}
	if err := json.Unmarshal(line, &event); err != nil {
		t.Fatalf("audit log: %v", err)
	}
	what := event.Verb + " " + event.ObjectRef.Resource
	if event.ObjectRef.Subresource != "" {
		what += "/" + event.ObjectRef.Subresource
	}
	switch code := event.ResponseStatus.Code; {
	case code == http.StatusForbidden || code == http.StatusUnauthorized:
		r.refused[what+" "+event.RequestURI] = true
	case code < http.StatusMultipleChoices:
		r.allowed[what] = true
	}
}

// attached are the UIDs of one widget's attachments.
type attached struct{ configMap, secret, serviceAccount types.UID }

// awaitAttached waits until the attachments of widget 1 that are to follow its size have done so.
func (c *cluster) awaitAttached(t *testing.T, size string) (now attached) {
	t.Helper()
	const name = "widget-1"
	eventually(t, "the attachments show the size "+size, func() error {
		core := c.kube.CoreV1()
		configMap, err1 := core.ConfigMaps(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
		secret, err2 := core.Secrets(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
		account, err3 := core.ServiceAccounts(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		if configMap.Data["size"] != size || string(secret.Data["size"]) != size {
			return fmt.Errorf("the ConfigMap shows %q, the Secret %q", configMap.Data["size"], secret.Data["size"])
		}
		now = attached{configMap.UID, secret.UID, account.UID}
		return nil
	})
	return now
}
