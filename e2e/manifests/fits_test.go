// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/shardctl/shardctl/internal/command"
	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/pkg/lease"
)

// configuration is the ConfigMap's only file, as the replicas read it.
func configuration(t *testing.T, objects []*unstructured.Unstructured) *config.Config {
	t.Helper()
	data := find[corev1.ConfigMap](t, objects, "ConfigMap").Data
	cfg, err := config.Parse("config.yaml", []byte(data["config.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// container returns the one of a Pod that is a replica.
func container(t *testing.T, pod *corev1.PodSpec) *corev1.Container {
	t.Helper()
	i := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no container %s", name)
	}
	return &pod.Containers[i]
}

func TestGracePeriodFitsTheDrain(t *testing.T) {
	objects := build(t, exampleOverlay)
	pod := find[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec
	// What docs/configuration.md asks for.
	want := configuration(t, objects).DrainTimeout + 10*time.Second
	if got := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; got != want {
		t.Errorf("the grace period is %v, want the drainTimeout and 10 s, %v", got, want)
	}
}

func TestArgumentsFitTheFlagsAndTheVolume(t *testing.T) {
	objects := build(t, exampleOverlay)
	pod := find[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec
	c := container(t, &pod)
	run, rest, err := command.New().Find(c.Args)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.ParseFlags(rest); err != nil {
		t.Fatal(err)
	}
	if run.Name() != "run" || run.Flags().NArg() > 0 {
		t.Errorf("the arguments %q are not those of shardctl run", c.Args)
	}
	file, err := run.Flags().GetString("config")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == path.Dir(file) })
	if i < 0 {
		t.Fatalf("nothing is mounted at %s", path.Dir(file))
	}
	if c.VolumeMounts[i].SubPath != "" {
		t.Error("the configuration is mounted with a subPath: then it never changes")
	}
	j := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == c.VolumeMounts[i].Name })
	configMap := find[corev1.ConfigMap](t, objects, "ConfigMap")
	if source := pod.Volumes[j].ConfigMap; source == nil || source.Name != configMap.Name {
		t.Errorf("what is mounted is %+v, want ConfigMap %s", pod.Volumes[j].VolumeSource, configMap.Name)
	}
	if _, ok := configMap.Data[path.Base(file)]; !ok {
		t.Errorf("the ConfigMap has no %s", path.Base(file))
	}
}

func TestPortsFitTheConfiguration(t *testing.T) {
	objects := build(t, exampleOverlay)
	pod := find[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec
	c := container(t, &pod)
	_, port, err := net.SplitHostPort(configuration(t, objects).HTTPAddress)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Ports) != 1 || strconv.Itoa(int(c.Ports[0].ContainerPort)) != port {
		t.Fatalf("the container's ports are %v, and the configuration has %s", c.Ports, port)
	}
	for probe, handler := range map[string]*corev1.Probe{
		"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe,
	} {
		if got := handler.HTTPGet.Port.StrVal; got != c.Ports[0].Name {
			t.Errorf("the %s probe goes to port %q, want %q", probe, got, c.Ports[0].Name)
		}
	}
	if got := find[corev1.Service](t, objects, "Service").Spec.Ports[0].TargetPort.StrVal; got != c.Ports[0].Name {
		t.Errorf("the service goes to port %q, want %q", got, c.Ports[0].Name)
	}
}

// /livez fails a RenewDeadline after the loop has got stuck, and a drainTimeout after a drain began.
func TestProbesFitTheWatchdog(t *testing.T) {
	objects := build(t, exampleOverlay)
	pod := find[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec
	c, timings := container(t, &pod), configuration(t, objects).Timings
	patience := func(p *corev1.Probe) time.Duration {
		return time.Duration(p.PeriodSeconds*p.FailureThreshold) * time.Second
	}
	if got := patience(c.LivenessProbe); got < timings.RenewInterval || got > 2*timings.LeaseDuration {
		t.Errorf("a replica is restarted after %v of /livez failing: one slow answer should not do it (RenewInterval %v), "+
			"nor should its shards wait much longer than for one that crashed (LeaseDuration %v)", got, timings.RenewInterval, timings.LeaseDuration)
	}
	if got := patience(c.ReadinessProbe); got > timings.RenewDeadline {
		t.Errorf("a replica counts as ready for %v after its session, want at most a RenewDeadline, %v", got, timings.RenewDeadline)
	}
	for probe, p := range map[string]*corev1.Probe{"liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		if p.TimeoutSeconds > p.PeriodSeconds {
			t.Errorf("the %s probe is sent every %d s and may take %d s", probe, p.PeriodSeconds, p.TimeoutSeconds)
		}
	}
}

func TestIdentityIsThatOfThePod(t *testing.T) {
	pod := find[appsv1.Deployment](t, build(t, exampleOverlay), "Deployment").Spec.Template.Spec
	got := map[string]string{}
	for _, variable := range container(t, &pod).Env {
		got[variable.Name] = variable.Value
		if from := variable.ValueFrom; from != nil {
			got[variable.Name] = from.FieldRef.FieldPath
		}
	}
	for variable, want := range map[string]string{
		"POD_NAME": "metadata.name", "POD_UID": "metadata.uid", "POD_NAMESPACE": "metadata.namespace", "SHARDCTL_CONTAINER": name,
	} {
		if got[variable] != want {
			t.Errorf("%s is %q, want %q", variable, got[variable], want)
		}
	}
}

// A record of another group's would not be found: its first start would wait.
func TestLayoutRecordIsTheGroupsAndEmpty(t *testing.T) {
	objects := build(t, exampleOverlay)
	group := configuration(t, objects).Name
	record := find[coordinationv1.Lease](t, objects, "Lease")
	if want := lease.LayoutLeaseName(group); record.Name != want {
		t.Errorf("the layout record is %s, want %s", record.Name, want)
	}
	if record.Labels[lease.LabelGroup] != group || record.Labels[lease.LabelKind] != lease.KindLayout {
		t.Errorf("its labels are %v", record.Labels)
	}
	if record.Annotations != nil || record.Spec != (coordinationv1.LeaseSpec{}) {
		t.Errorf("it says more than that: %+v, annotations %v: to apply it again would reset it", record.Spec, record.Annotations)
	}
}

func TestSelectorsFindThePods(t *testing.T) {
	objects := build(t, exampleOverlay)
	deployment := find[appsv1.Deployment](t, objects, "Deployment")
	selectors := map[string]*metav1.LabelSelector{
		"Deployment":          deployment.Spec.Selector,
		"PodDisruptionBudget": find[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget").Spec.Selector,
		"Service":             {MatchLabels: find[corev1.Service](t, objects, "Service").Spec.Selector},
	}
	for _, constraint := range deployment.Spec.Template.Spec.TopologySpreadConstraints {
		selectors[constraint.TopologyKey] = constraint.LabelSelector
	}
	for whose, encoded := range selectors {
		selector, err := metav1.LabelSelectorAsSelector(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if pod := labels.Set(deployment.Spec.Template.Labels); selector.Empty() || !selector.Matches(pod) {
			t.Errorf("the selector of %s, %v, does not find Pods with the labels %v", whose, selector, pod)
		}
	}
}

// The hook is where the configuration looks for it, and only there.
func TestHookFitsTheConfiguration(t *testing.T) {
	objects := build(t, exampleOverlay)
	pod := find[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec
	if len(pod.InitContainers) != 1 || *pod.InitContainers[0].RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Fatalf("the init containers are %+v, want one sidecar", pod.InitContainers)
	}
	args := pod.InitContainers[0].Args
	for _, role := range configuration(t, objects).Roles {
		address, err := url.Parse(role.Decorator.Spec.Hooks.Sync.Webhook.URL)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(args, "--listen="+address.Host) {
			t.Errorf("role %s asks %s, and the hook's arguments are %q", role.Name, address, args)
		}
	}
}
