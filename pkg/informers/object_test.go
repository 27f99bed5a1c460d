// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// everything has each field of metadata that an object may have.
func everything(u *unstructured.Unstructured) {
	created := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	u.SetGenerateName("a-")
	u.SetUID("u1")
	u.SetGeneration(7)
	u.SetCreationTimestamp(created)
	u.SetDeletionTimestamp(&created)
	u.SetDeletionGracePeriodSeconds(ptr.To[int64](30))
	u.SetLabels(map[string]string{"app": "x", "tier": ""})
	u.SetAnnotations(map[string]string{lastApplied: `{"metadata":{"managedFields":[]}}`, "quote": `"}\`})
	u.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Owner", Name: "o", UID: "u2", Controller: ptr.To(true)}})
	u.SetFinalizers([]string{"example.com/f"})
	u.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)}})
	u.Object["spec"] = map[string]any{"large": int64(1) << 60, "small": 0.5, "list": []any{"a", nil, true, map[string]any{}}}
}

// packed returns what the cache of a type makes of an object.
func packed(t testing.TB, p *packer, u *unstructured.Unstructured) *Object {
	t.Helper()
	out, err := p.pack(cachedObject(u))
	if err != nil {
		t.Fatal(err)
	}
	return out.(*Object)
}

func newWidgetPacker(transform func(*unstructured.Unstructured)) *packer {
	return newPacker(example.WithKind("Widget"), transform)
}

func TestObjectIsWhatTheAPIServerSentWithoutManagedFields(t *testing.T) {
	want := object(widgets, "ns", "a", at("5"), everything)
	o := packed(t, newWidgetPacker(nil), want)
	want.SetManagedFields(nil)

	got, err := o.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Object, want.Object) {
		t.Errorf("decoded:\n%v\nwant\n%v", got.Object, want.Object)
	}
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	again := &unstructured.Unstructured{}
	if err := again.UnmarshalJSON(data); err != nil || !reflect.DeepEqual(again.Object, want.Object) {
		t.Errorf("marshalled: %s (%v)", data, err)
	}
	var typed struct {
		Spec struct {
			Large int64 `json:"large"`
		} `json:"spec"`
	}
	if err := o.DecodeInto(&typed); err != nil || typed.Spec.Large != 1<<60 {
		t.Errorf("decoded into a type: %+v, %v", typed, err)
	}
	if err := o.DecodeInto(&struct {
		Spec string `json:"spec"`
	}{}); err == nil {
		t.Error("it was decoded into a type that it does not fit")
	}
}

// What an Object says of its metadata, also to client-go, is what it says decoded.
func TestObjectMetadata(t *testing.T) {
	for name, u := range map[string]*unstructured.Unstructured{
		"everything": object(widgets, "ns", "a", at("5"), everything), "nothing": object(zones, "", "north"),
	} {
		t.Run(name, func(t *testing.T) {
			o := packed(t, newWidgetPacker(nil), u)
			accessor, err := meta.Accessor(o)
			if err != nil {
				t.Fatal(err)
			}
			u.SetManagedFields(nil)
			if _, ok := any(o).(metav1.Object); ok {
				t.Error("an Object has setters")
			}
			for _, of := range []struct {
				what      string
				got, want any
			}{
				{"name", o.GetName(), u.GetName()},
				{"namespace", o.GetNamespace(), u.GetNamespace()},
				{"uid", o.GetUID(), u.GetUID()},
				{"resourceVersion", o.GetResourceVersion(), u.GetResourceVersion()},
				{"generation", o.GetGeneration(), u.GetGeneration()},
				{"creationTimestamp", o.GetCreationTimestamp().Unix(), u.GetCreationTimestamp().Unix()},
				{"deletionTimestamp", o.GetDeletionTimestamp().IsZero(), u.GetDeletionTimestamp().IsZero()},
				{"labels", o.GetLabels(), u.GetLabels()},
				{"annotations", o.GetAnnotations(), u.GetAnnotations()},
				{"annotations for client-go", accessor.GetAnnotations(), u.GetAnnotations()},
				{"ownerReferences", o.GetOwnerReferences(), u.GetOwnerReferences()},
				{"controller", o.Controller(), metav1.GetControllerOf(u)},
				{"finalizers", o.GetFinalizers(), u.GetFinalizers()},
				{"deletionGracePeriodSeconds for client-go", accessor.GetDeletionGracePeriodSeconds(), u.GetDeletionGracePeriodSeconds()},
				{"generateName for client-go", accessor.GetGenerateName(), u.GetGenerateName()},
				{"managedFields for client-go", len(accessor.GetManagedFields()), 0},
				{"kind", o.GroupVersionKind(), u.GroupVersionKind()},
				{"kind for client-go", o.GetObjectKind().GroupVersionKind(), u.GroupVersionKind()},
				{"text", o.String(), u.GetKind() + " " + u.GetNamespace() + "/" + u.GetName()},
			} {
				if !reflect.DeepEqual(of.got, of.want) {
					t.Errorf("%s: %v, want %v", of.what, of.got, of.want)
				}
			}
		})
	}
}

// Whoever decodes has a copy of his own.
func TestDecodedObjectsAreTheCallersOwn(t *testing.T) {
	o := packed(t, newWidgetPacker(nil), object(widgets, "ns", "a", everything))
	first, err := o.Decode()
	if err != nil {
		t.Fatal(err)
	}
	first.Object["spec"] = "changed"
	o.GetAnnotations()["quote"] = "changed"
	for _, object := range []*Object{o, cachedObject(object(widgets, "ns", "raw"))} { // compressed, and as it came
		data, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		clear(data)
		if _, err := object.Decode(); err != nil {
			t.Errorf("after somebody has changed its JSON: %v", err)
		}
	}
	second, err := o.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if second.Object["spec"] == "changed" || o.GetAnnotations()["quote"] == "changed" {
		t.Error("what one has changed is seen by another")
	}
}

func TestCopyOfAnObject(t *testing.T) {
	o := packed(t, newWidgetPacker(nil), object(widgets, "ns", "a", at("5"), everything))
	c := o.DeepCopyObject().(*Object)
	c.GetObjectMeta().SetResourceVersion("9")
	c.GetLabels()["app"] = "changed"
	if o.GetResourceVersion() != "5" || o.GetLabels()["app"] != "x" {
		t.Errorf("the original is at %s now, with the labels %v", o.GetResourceVersion(), o.GetLabels())
	}
	u, err := c.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if u.GetResourceVersion() != "9" || !maps.Equal(c.GetAnnotations(), o.GetAnnotations()) {
		t.Errorf("decoded, the copy is at %s with the annotations %v", u.GetResourceVersion(), c.GetAnnotations())
	}
}

// Lists of built-in types have items without apiVersion and kind.
func TestItemsOfAListGetTheirKind(t *testing.T) {
	for _, text := range []string{
		`{"metadata":{"name":"a"}}`, ` { "metadata" : {"name":"a"} , "spec":{}} `, `{"kind":"","metadata":{"name":"a"},"apiVersion":""}`,
	} {
		var list List
		answer := `{"kind":"WidgetList","apiVersion":"example.com/v1","metadata":{"resourceVersion":"7","continue":"c"},"items":[` + text + `]}`
		into, _, err := decoder{}.Decode([]byte(answer), nil, &list)
		if err != nil || into != &list {
			t.Fatalf("decoded into %v: %v", into, err)
		}
		if list.GetResourceVersion() != "7" || list.GetContinue() != "c" || len(list.Items) != 1 {
			t.Fatalf("the list: %+v", list)
		}
		out, err := newWidgetPacker(nil).pack(list.Items[0])
		if err != nil {
			t.Fatal(err)
		}
		u, err := out.(*Object).Decode()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := u.GroupVersionKind(), example.WithKind("Widget"); got != want || u.GetName() != "a" || out.(*Object).GroupVersionKind() != want {
			t.Errorf("%s became %v", text, u.Object)
		}
	}
}

func TestTransform(t *testing.T) {
	dropStatus := func(u *unstructured.Unstructured) { delete(u.Object, "status") }
	status := func(u *unstructured.Unstructured) { u.Object["status"] = "large" }
	p := newWidgetPacker(dropStatus)
	o := packed(t, p, object(widgets, "ns", "a", status, everything))
	again, err := p.pack(o) // client-go may do it twice
	if err != nil || again != o {
		t.Fatalf("the second time it became %v: %v", again, err)
	}
	u, err := o.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if _, found := u.Object["status"]; found || u.GetManagedFields() != nil || u.GetName() != "a" || u.Object["spec"] == nil {
		t.Errorf("left: %v", u.Object)
	}
	other, err := p.pack(cache.DeletedFinalStateUnknown{Key: "ns/a"})
	if err != nil || other.(cache.DeletedFinalStateUnknown).Key != "ns/a" {
		t.Errorf("something that is no object became %v: %v", other, err)
	}
	nameless := packed(t, newWidgetPacker(func(u *unstructured.Unstructured) { delete(u.Object, "kind") }), object(widgets, "ns", "a"))
	if got := nameless.GroupVersionKind(); got != example.WithKind("Widget") {
		t.Errorf("without its kind it became a %v", got)
	}
	unfit := newWidgetPacker(func(u *unstructured.Unstructured) { u.Object["spec"] = make(chan int) })
	if kept := packed(t, unfit, object(widgets, "ns", "a")); kept.GetName() != "a" {
		t.Errorf("an object that cannot be encoded any more became %v", kept)
	}
}

// Whatever the first objects are, of which the dictionary is made, all come out as they
// went in.
func TestPackedObjectsComeOutAsTheyWentIn(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) string {
		text := make([]byte, n)
		for i := range text {
			text[i] = byte('!' + random.IntN(90))
		}
		return string(text)
	}
	p := newWidgetPacker(nil)
	var in []*unstructured.Unstructured
	var out []*Object
	for i := range 400 {
		u := object(widgets, "ns", fmt.Sprintf("w-%d", i), func(u *unstructured.Unstructured) {
			switch i % 4 {
			case 0: // nothing that could be compressed
				u.Object["data"] = noise(1 + random.IntN(3000))
			case 1: // hardly anything
				delete(u.Object, "apiVersion")
				u.SetResourceVersion("")
			default: // like the others
				everything(u)
				u.Object["image"] = noise(20)
			}
		})
		in, out = append(in, u), append(out, packed(t, p, u))
	}
	if p.dict == nil || p.sample != nil {
		t.Error("there is no dictionary, or the sample was kept")
	}
	forms := map[form]int{}
	for i, o := range out {
		forms[o.pack.form]++
		u, err := o.Decode()
		if err != nil {
			t.Fatal(err)
		}
		want := in[i]
		want.SetManagedFields(nil)
		want.SetResourceVersion(o.GetResourceVersion()) // decoding always has one
		if !reflect.DeepEqual(u.Object, want.Object) {
			t.Fatalf("object %d: %v, want %v", i, u.Object, want.Object)
		}
	}
	if forms[asReceived] != 0 || forms[asIs] == 0 || forms[compressed] == 0 {
		t.Errorf("the objects are in the forms %v, want some as they are and some compressed", forms)
	}
}

// A large object takes a fraction of its JSON, if others are like it.
func TestAlikeObjectsAreSmall(t *testing.T) {
	p := newWidgetPacker(nil)
	kept, whole := 0, 0
	for i := range 200 {
		u := object(widgets, "ns", fmt.Sprintf("w-%d", i), everything, func(u *unstructured.Unstructured) {
			env := []any{}
			for j := range 40 {
				env = append(env, map[string]any{"name": fmt.Sprintf("VARIABLE_%d", j), "value": fmt.Sprintf("value %d", i)})
			}
			u.Object["env"] = env
		})
		o := packed(t, p, u)
		data, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if p.dict != nil {
			kept, whole = kept+len(o.data), whole+len(data)
		}
	}
	if kept*4 > whole {
		t.Errorf("%d bytes are kept of %d, want a quarter at most", kept, whole)
	}
}

// What all objects of a type have in common is in memory once.
func TestObjectsShareTexts(t *testing.T) {
	p := newWidgetPacker(nil)
	a, b := packed(t, p, object(widgets, "ns", "a", everything)), packed(t, p, object(widgets, "ns", "b", everything))
	same := func(what, x, y string) {
		if x == "" || x != y || unsafe.StringData(x) != unsafe.StringData(y) {
			t.Errorf("%s: %q and %q are not the same text", what, x, y)
		}
	}
	same("namespace", a.GetNamespace(), b.GetNamespace())
	same("finalizer", a.GetFinalizers()[0], b.GetFinalizers()[0])
	same("kind of the owner", a.GetOwnerReferences()[0].Kind, b.GetOwnerReferences()[0].Kind)
	for i := range 2 * maxTexts {
		packed(t, p, object(widgets, fmt.Sprintf("ns-%d", i), "a"))
	}
	if n := len(p.texts); n != maxTexts {
		t.Errorf("%d texts are kept to be shared, want %d", n, maxTexts)
	}
}

func TestWithout(t *testing.T) {
	path := []string{"metadata", "managedFields"}
	for in, want := range map[string]string{
		`{"metadata":{"managedFields":[{"a":"]}"}],"name":"n"},"b":1}`:          `{"metadata":{"name":"n"},"b":1}`,
		`{"metadata":{"name":"n","managedFields":[]},"b":1}`:                    `{"metadata":{"name":"n"},"b":1}`,
		`{"metadata":{"name":"n,{","managedFields":null}}`:                      `{"metadata":{"name":"n,{"}}`,
		`{"metadata":{"managedFields":[]}}`:                                     `{"metadata":{}}`,
		"{ \"metadata\" : { \"a\" : 1 ,\n \"managedFields\" : [ 1 , 2 ] } }":    "{ \"metadata\" : { \"a\" : 1 } }",
		`{"spec":{"managedFields":[1],"metadata":{"managedFields":[2]}}}`:       `{"spec":{"managedFields":[1],"metadata":{"managedFields":[2]}}}`,
		`{"a":"\\","metadata":{"b":"\"managedFields\":[1]","managedFields":7}}`: `{"a":"\\","metadata":{"b":"\"managedFields\":[1]"}}`,
		`{"metadata":3}`: `{"metadata":3}`,
		`{}`:             `{}`,
		`[]`:             `[]`,
		`7`:              `7`,
	} {
		got := string(without([]byte(in), path...))
		var a, b any
		if err := json.Unmarshal([]byte(got), &a); err != nil {
			t.Errorf("%s became %s: %v", in, got, err)
			continue
		}
		if err := json.Unmarshal([]byte(want), &b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

// What is found without decoding is what decoding finds, in any valid JSON.
func FuzzMember(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"managedFields":[{"a":"]}"}],"name":"n"},"b":1}`, `{"metadata":{"a":{},"annotations":{"x":"\\\""}}}`, ` [1] `, `"{"`,
		`{"metadata":{"managedFields":-1.5e7}}`, `{"metadata" :{ "managedFields"	:true , "managedFields2":false}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, found := valueAt(data, "metadata", "managedFields")
		left := without(data, "metadata", "managedFields")
		want, exists, ok := metadataOf(data)
		if !ok {
			return // it is enough that nothing panics
		}
		if found != exists || string(value) != string(want["managedFields"]) {
			t.Fatalf("found %q (%t), want %q (%t)", value, found, want["managedFields"], exists)
		}
		rest, exists, ok := metadataOf(left)
		delete(want, "managedFields")
		if !ok || exists || len(rest) != len(want) || len(want) > 0 && !reflect.DeepEqual(rest, want) {
			t.Fatalf("%q became %q", data, left)
		}
	})
}

// metadataOf decodes the members of an object's metadata. It is not ok if there is
// something that no API server sends: invalid JSON, a name that occurs twice or is
// written with escapes.
func metadataOf(data []byte) (members map[string]json.RawMessage, managed, ok bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil || bytes.Contains(data, []byte(`\u`)) {
		return nil, false, false
	}
	if json.Unmarshal(object["metadata"], &members) != nil {
		members = nil
	}
	_, managed = members["managedFields"]
	once := bytes.Count(data, []byte(`"metadata"`)) <= 1 && bytes.Count(data, []byte(`"managedFields"`)) <= 1
	return members, managed, once
}

func TestDecoderTellsAStatus(t *testing.T) {
	const answer = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Expired","code":410}`
	for name, into := range map[string]func() (any, error){
		"instead of a list":    func() (any, error) { o, _, err := decoder{}.Decode([]byte(answer), nil, &List{}); return o, err },
		"instead of an object": func() (any, error) { o, _, err := decoder{}.Decode([]byte(answer), nil, nil); return o, err },
	} {
		got, err := into()
		if status, ok := got.(*metav1.Status); err != nil || !ok || status.Code != 410 || status.Reason != metav1.StatusReasonExpired {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, broken := range []string{``, `[]`, `null`, `"text"`, `{"metadata":{"labels":{"a":1}}}`, `{"metadata":[]}`} {
		if o, _, err := (decoder{}).Decode([]byte(broken), nil, nil); err == nil {
			t.Errorf("%q was decoded as %v", broken, o)
		}
		if o, _, err := (decoder{}).Decode([]byte(`{"items":[`+broken+`x]}`), nil, &List{}); err == nil {
			t.Errorf("a list of %q was decoded as %v", broken, o)
		}
	}
}

func TestPaths(t *testing.T) {
	for want, of := range map[string]struct {
		gvr       schema.GroupVersionResource
		namespace string
	}{
		"/apis/example.com/v1/widgets":               {widgets, ""},
		"/apis/example.com/v1/namespaces/ns/widgets": {widgets, "ns"},
		"/api/v1/pods":               {schema.GroupVersionResource{Version: "v1", Resource: "pods"}, ""},
		"/api/v1/namespaces/ns/pods": {schema.GroupVersionResource{Version: "v1", Resource: "pods"}, "ns"},
	} {
		if got := pathOf(of.gvr, of.namespace); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestCachedObjectsHaveNoManagedFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "listed", everything))
		set := newSet(t, api, Options{})
		informer := set.Watch(widgets)
		start(t, t.Context(), set)
		within(t, time.Second, informer)
		api.create(t, widgets, object(widgets, "ns", "watched", everything))
		synctest.Wait()
		var found []string
		for _, o := range informer.List("", nil) {
			u, err := o.Decode()
			if err != nil {
				t.Fatal(err)
			}
			if u.GetManagedFields() == nil && o.pack.form != asReceived {
				found = append(found, u.GetName())
			}
		}
		if slices.Sort(found); !slices.Equal(found, []string{"listed", "watched"}) {
			t.Errorf("packed and without managedFields: %q", found)
		}
	})
}
