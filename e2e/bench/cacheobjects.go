// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// shape is a type and how its objects look: a built-in type, so that typed clients know it, of which no controller runs.
type shape struct {
	name     string // as the API calls it, and the figures too
	resource schema.GroupVersionResource
	kind     string
	// make returns the object of a number, always the same one.
	make func(i int) client.Object
	// settle fills in the status of one that was created; nil if it has none.
	settle func(client.Object)
}

func (s shape) gvk() schema.GroupVersionKind { return s.resource.GroupVersion().WithKind(s.kind) }

// deployments are as in life: about 4 KB of JSON, of which managedFields are a good part. Names, images, hashes and values
// differ from one to the other, field names and defaults do not.
func deployments() shape {
	return shape{
		name: "deployments", resource: appsv1.SchemeGroupVersion.WithResource("deployments"), kind: "Deployment",
		make: func(i int) client.Object {
			a := newApp(i)
			return &appsv1.Deployment{ObjectMeta: a.meta(), Spec: appsv1.DeploymentSpec{
				Replicas: ptr.To(int32(1 + a.IntN(6))), Selector: a.selector(), Template: a.template(),
			}}
		},
		settle: func(o client.Object) { settleDeployment(o.(*appsv1.Deployment)) },
	}
}

// configMaps have about 4 KB too, nearly all of it random: what compression does best with the others does little here.
func configMaps() shape {
	const random = 2700 // bytes, a third more as base64
	return shape{
		name: "configmaps", resource: corev1.SchemeGroupVersion.WithResource("configmaps"), kind: "ConfigMap",
		make: func(i int) client.Object {
			a := newApp(i)
			return &corev1.ConfigMap{ObjectMeta: a.meta(), Data: map[string]string{"keystore": base64.StdEncoding.EncodeToString(a.bytes(random))}}
		},
	}
}

// statefulSets and daemonSets are what the start of a process needs besides: more types, of objects as large.
func statefulSets() shape {
	return shape{
		name: "statefulsets", resource: appsv1.SchemeGroupVersion.WithResource("statefulsets"), kind: "StatefulSet",
		make: func(i int) client.Object {
			a := newApp(i)
			return &appsv1.StatefulSet{ObjectMeta: a.meta(), Spec: appsv1.StatefulSetSpec{
				Replicas: ptr.To(int32(1 + a.IntN(6))), ServiceName: a.name, Selector: a.selector(), Template: a.template(),
			}}
		},
	}
}

func daemonSets() shape {
	return shape{
		name: "daemonsets", resource: appsv1.SchemeGroupVersion.WithResource("daemonsets"), kind: "DaemonSet",
		make: func(i int) client.Object {
			a := newApp(i)
			return &appsv1.DaemonSet{ObjectMeta: a.meta(), Spec: appsv1.DaemonSetSpec{Selector: a.selector(), Template: a.template()}}
		},
	}
}

func shapes() []shape {
	return []shape{deployments(), configMaps(), statefulSets(), daemonSets()}
}

func shapeResources() []schema.GroupVersionResource {
	var all []schema.GroupVersionResource
	for _, s := range shapes() {
		all = append(all, s.resource)
	}
	return all
}

// app is what an object is about. All that is random of it comes from its number.
type app struct {
	*rand.Rand
	i                              int
	name, component, team, version string
}

func newApp(i int) app {
	a := app{Rand: rand.New(rand.NewPCG(uint64(i), 8)), i: i}
	product := a.one("billing", "catalog", "checkout", "identity", "inventory", "ledger", "mailing", "orders", "pricing", "profiles", "reports", "search", "shipping", "tickets")
	a.component = a.one("api", "cron", "frontend", "gateway", "importer", "proxy", "scheduler", "worker")
	a.name = fmt.Sprintf("%s-%s-%d", product, a.component, i)
	a.team = a.one("atlas", "borealis", "cascade", "delta", "ember", "fjord", "granite", "harbour")
	a.version = fmt.Sprintf("%d.%d.%d", a.IntN(6), a.IntN(30), a.IntN(20))
	return a
}

func (a app) one(of ...string) string { return of[a.IntN(len(of))] }

func (a app) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(a.Uint32())
	}
	return b
}

// digest is a hash of so many bytes, as hexadecimal digits.
func (a app) digest(n int) string { return hex.EncodeToString(a.bytes(n)) }

func (a app) meta() metav1.ObjectMeta {
	labels := a.labels()
	labels["app.kubernetes.io/managed-by"] = "Helm"
	return metav1.ObjectMeta{
		Namespace: stockNamespace(a.i), Name: a.name, Labels: labels,
		Annotations: map[string]string{
			"meta.helm.sh/release-name":      a.name,
			"meta.helm.sh/release-namespace": stockNamespace(a.i),
		},
	}
}

func (a app) labels() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name": a.component, "app.kubernetes.io/instance": a.name,
		"app.kubernetes.io/version": a.version, "example.com/team": a.team,
	}
}

func (a app) selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{
		"app.kubernetes.io/name": a.component, "app.kubernetes.io/instance": a.name,
	}}
}

func (a app) template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: a.labels(), Annotations: map[string]string{"checksum/config": a.digest(32)}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{a.container()},
		},
	}
}

func (a app) container() corev1.Container {
	port := int32(8000 + a.IntN(100))
	return corev1.Container{
		Name:  a.component,
		Image: fmt.Sprintf("images.example.com/%s/%s:%s@sha256:%s", a.team, a.component, a.version, a.digest(32)),
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: port}},
		Env: []corev1.EnvVar{
			{Name: "LOG_LEVEL", Value: a.one("debug", "info", "warn")},
			{Name: "DATABASE_URL", Value: fmt.Sprintf("postgres://%s-db.%s.svc:5432/%s", a.name, stockNamespace(a.i), a.component)},
		},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(10*(1+a.IntN(50))), resource.DecimalSI),
				corev1.ResourceMemory: *resource.NewQuantity(int64(1+a.IntN(16))<<26, resource.BinarySI),
			},
		},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: int32(2 + a.IntN(9)), ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromString("http")},
		}},
	}
}

// settleDeployment is what the deployment controller notes once all is well.
func settleDeployment(d *appsv1.Deployment) {
	d.Annotations["deployment.kubernetes.io/revision"] = "1"
	n := *d.Spec.Replicas
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
		Conditions: []appsv1.DeploymentCondition{
			deploymentCondition(appsv1.DeploymentAvailable, "MinimumReplicasAvailable", "Deployment has minimum availability.", d.CreationTimestamp.Time),
			deploymentCondition(appsv1.DeploymentProgressing, "NewReplicaSetAvailable",
				fmt.Sprintf("ReplicaSet %q has successfully progressed.", d.Name+"-"+string(d.UID[:8])), d.CreationTimestamp.Time),
		},
	}
}

func deploymentCondition(kind appsv1.DeploymentConditionType, reason, message string, at time.Time) appsv1.DeploymentCondition {
	return appsv1.DeploymentCondition{
		Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message,
		LastUpdateTime: metav1.NewTime(at), LastTransitionTime: metav1.NewTime(at),
	}
}
