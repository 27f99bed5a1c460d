// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/internal/status"
)

// attaching answers with the ConfigMaps of these names and, as data, the object's size; for an object that is deleted, with
// none, and that it may go once they are gone.
func attaching(names ...string) hook {
	return answerWith(func(request hookRequest) hookAnswer {
		if request.Finalizing {
			return hookAnswer{Finalized: len(request.Attachments["ConfigMap.v1"]) == 0}
		}
		answer := reflectSpec(request)
		for _, name := range names {
			answer.Attachments = append(answer.Attachments, map[string]any{
				"apiVersion": "v1", "kind": "ConfigMap",
				"metadata": map[string]any{"name": request.Object.GetName() + "-" + name},
				"data":     map[string]any{"size": fmt.Sprint(sizeOf(&request.Object))},
			})
		}
		return answer
	})
}

// What a hook attaches to an object is created, changed in place and deleted as the hook wants it, before an object is
// deleted too; the ConfigMaps of others are left alone, even one of the name that the hook wants.
func TestAttachmentsFollowTheHook(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	types := c.createTypes(t, "widgets")
	hook := serveHook(t, attaching("a", "b"))
	d := c.deploy(t, role{resourceType: types[0], hook: webhook(hook, hookTimeout), attach: true, finalize: true})
	widgets := c.watch(t, types[0])
	widgets.create(t, 2)
	others := map[string]string{"keep": "me"}
	c.createConfigMap(t, "others", others)
	d.launch(t, "alone")

	widgets.awaitReconciled(t, 2)
	c.awaitSizes(t, map[string]string{"0-a": "0", "0-b": "0", "1-a": "0", "1-b": "0"})
	created := c.configMaps(t)
	if owner := metav1.GetControllerOf(new(created["0-a"])); owner == nil || owner.Kind != types[0].kind || owner.Name != "0" {
		t.Errorf("the controller of ConfigMap 0-a is %v, want %s 0", owner, types[0].kind)
	}

	widgets.resize(t, 2, 1)
	c.awaitSizes(t, map[string]string{"0-a": "1", "0-b": "1", "1-a": "1", "1-b": "1"})
	for name, now := range c.configMaps(t) {
		if now.UID != created[name].UID {
			t.Errorf("ConfigMap %s was deleted and created again, want it changed in place", name)
		}
	}

	c.createConfigMap(t, "0-c", others)
	hook.become(attaching("a", "c"))
	widgets.resize(t, 2, 2)
	c.awaitSizes(t, map[string]string{"0-a": "2", "1-a": "2", "1-c": "2"})
	d.await(t, "status to say what is in the way", func(s status.Status) error {
		if problem := problemOf(s, types[0]); problem == "" {
			return fmt.Errorf("it says nothing")
		}
		return nil
	})
	for _, name := range []string{"others", "0-c"} {
		if now := c.configMaps(t)[name]; !maps.Equal(now.Data, others) || len(now.OwnerReferences) > 0 || len(now.Annotations) > 0 {
			t.Errorf("ConfigMap %s of somebody else became %v", name, now)
		}
	}

	if err := c.kube.CoreV1().ConfigMaps(c.namespace).Delete(t.Context(), "0-c", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitSizes(t, map[string]string{"0-a": "2", "0-c": "2", "1-a": "2", "1-c": "2"})
	d.await(t, "the problem to disappear", noProblem(types[0]))
	if err := widgets.client().Delete(t.Context(), "1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitSizes(t, map[string]string{"0-a": "2", "0-c": "2"})
	widgets.awaitReconciled(t, 1)
	d.journal(t).checkExclusion(t, types...)
}

// Whoever leaves out an attachment has it deleted. A hook that only knows what it is shown, and is asked before all
// attachments have been read, would therefore delete them all. It is not asked.
func TestHookIsNotCalledBeforeCachesAreSynced(t *testing.T) {
	t.Parallel()
	const each = 5
	c := newCluster(t)
	types := c.createTypes(t, "widgets")
	hook := serveHook(t, attaching("a"))
	d := c.deploy(t, role{resourceType: types[0], hook: webhook(hook, hookTimeout), attach: true})
	widgets := c.watch(t, types[0])
	widgets.create(t, each)
	d.launch(t, "first")
	widgets.awaitReconciled(t, each)
	attached := map[string]string{"0-a": "0", "1-a": "0", "2-a": "0", "3-a": "0", "4-a": "0"}
	c.awaitSizes(t, attached)
	before := c.configMaps(t)
	d.terminate(t, d.Replica("first"))

	// The next replica may not read ConfigMaps at first.
	hook.become(answerWith(keepAsItIs))
	asked := len(hook.received())
	restore := d.revoke(t, "configmaps")
	d.launchWith(t, "second", "--tolerate-missing-permissions")
	d.await(t, "status to say what is waited for", func(s status.Status) error {
		if problem := problemOf(s, types[0]); problem == "" {
			return fmt.Errorf("it says nothing")
		}
		return nil
	})
	d.awaitHeartbeats(t, 5) // a promotion may wait for a while before its first call
	if calls := len(hook.received()) - asked; calls > 0 {
		t.Errorf("the hook was called %d times before the ConfigMaps were read", calls)
	}

	restore()
	widgets.resize(t, each, 1)
	widgets.awaitReconciled(t, each)
	for _, call := range hook.received()[asked:] {
		if shown := call.Attachments["ConfigMap.v1"]; len(shown) != 1 {
			t.Errorf("the hook was shown %d ConfigMaps of object %s, want 1", len(shown), call.Object.GetName())
		}
	}
	c.awaitSizes(t, attached)
	for name, now := range c.configMaps(t) {
		if now.UID != before[name].UID {
			t.Errorf("ConfigMap %s was deleted and created again", name)
		}
	}
}

// keepAsItIs wants the attachments that it is shown.
func keepAsItIs(request hookRequest) hookAnswer {
	answer := reflectSpec(request)
	for _, byName := range request.Attachments {
		for _, attachment := range byName {
			answer.Attachments = append(answer.Attachments, attachment.(map[string]any))
		}
	}
	return answer
}

func (c *cluster) createConfigMap(t *testing.T, name string, data map[string]string) {
	t.Helper()
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	if _, err := c.kube.CoreV1().ConfigMaps(c.namespace).Create(t.Context(), configMap, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// configMaps are all there are in the namespace, by name, but the one that Kubernetes puts into each.
func (c *cluster) configMaps(t *testing.T) map[string]corev1.ConfigMap {
	t.Helper()
	list, err := c.kube.CoreV1().ConfigMaps(c.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]corev1.ConfigMap{}
	for _, configMap := range list.Items {
		if configMap.Name != "kube-root-ca.crt" {
			all[configMap.Name] = configMap
		}
	}
	return all
}

// awaitSizes waits until the ConfigMaps with a size are exactly these.
func (c *cluster) awaitSizes(t *testing.T, want map[string]string) {
	t.Helper()
	eventually(t, "the attachments are as the hook wants them", func() error {
		sizes := map[string]string{}
		for name, configMap := range c.configMaps(t) {
			if size, ok := configMap.Data["size"]; ok {
				sizes[name] = size
			}
		}
		if !maps.Equal(sizes, want) {
			return fmt.Errorf("they are %v, want %v", sizes, want)
		}
		return nil
	})
}
