// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

const (
	listedWidget  = `{"metadata":{"name":"a","namespace":"ns","resourceVersion":"3","managedFields":[{"manager":"m"}]},"spec":{"size":1}}`
	watchedWidget = `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"b","namespace":"ns","resourceVersion":"8"},"spec":{"size":2}}`
	expiredStatus = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410}`
)

// newTestClient is of an API server that answers every request with a text.
func newTestClient(t *testing.T, answer http.HandlerFunc) Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	cfg := &rest.Config{Host: server.URL}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg.Transport = transport
	client, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func answerWith(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func TestClientLists(t *testing.T) {
	var asked string
	client := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Accept") + " " + r.URL.String()
		answerWith(http.StatusOK, "application/json", `{"kind":"WidgetList","apiVersion":"example.com/v1","metadata":{"resourceVersion":"7"},"items":[`+listedWidget+`]}`)(w, r)
	})
	list, err := client.List(t.Context(), widgets, "ns", metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "application/json /apis/example.com/v1/namespaces/ns/widgets?resourceVersion=0"; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}
	if list.GetResourceVersion() != "7" || len(list.Items) != 1 || list.Items[0].GetName() != "a" || list.Items[0].GetResourceVersion() != "3" {
		t.Errorf("the list: %+v", list)
	}
}

func TestClientWatches(t *testing.T) {
	client := newTestClient(t, answerWith(http.StatusOK, "application/json", fmt.Sprintf(
		`{"type":"ADDED","object":%s}{"type":"ERROR","object":%s}`, watchedWidget, expiredStatus)))
	w, err := client.Watch(t.Context(), widgets, "", metav1.ListOptions{ResourceVersion: "7"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	added := <-w.ResultChan()
	if o, ok := added.Object.(*Object); !ok || added.Type != watch.Added || o.GetName() != "b" || o.GroupVersionKind() != example.WithKind("Widget") {
		t.Errorf("the first event: %+v", added)
	}
	failed := <-w.ResultChan()
	if failed.Type != watch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(failed.Object)) {
		t.Errorf("the second event: %+v", failed)
	}
	if ev, open := <-w.ResultChan(); open {
		t.Errorf("a third event: %+v", ev)
	}
}

func TestClientErrors(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		is     func(error) bool
	}{
		"expired":          {answerWith(http.StatusGone, "application/json", expiredStatus), apierrors.IsResourceExpired},
		"not found":        {answerWith(http.StatusNotFound, "text/plain", "404 page not found"), apierrors.IsNotFound},
		"no JSON":          {answerWith(http.StatusOK, "application/json", "<html>"), func(err error) bool { return err != nil }},
		"cut off":          {answerWith(http.StatusOK, "application/json", `{"kind":"WidgetList","items":[`+listedWidget), func(err error) bool { return err != nil }},
		"a status instead": {answerWith(http.StatusOK, "application/json", expiredStatus), func(err error) bool { return err != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			client := newTestClient(t, test.answer)
			if list, err := client.List(t.Context(), widgets, "", metav1.ListOptions{}); !test.is(err) {
				t.Errorf("list: %+v, %v", list, err)
			}
		})
	}
}
