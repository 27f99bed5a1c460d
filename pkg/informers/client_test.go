// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
		if agent := r.UserAgent(); agent != rest.DefaultKubernetesUserAgent() {
			t.Errorf("asked as %q", agent)
		}
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
	undecodable := func(err error) bool { return errors.Is(err, errUndecodable) && !outage(err) }
	for name, test := range map[string]struct {
		code              int
		contentType, body string
		is                func(error) bool
	}{
		"expired":              {http.StatusGone, "application/json", expiredStatus, apierrors.IsResourceExpired},
		"expired, with 200":    {http.StatusOK, "application/json", expiredStatus, apierrors.IsResourceExpired},
		"not found":            {http.StatusNotFound, "text/plain", "404 page not found", apierrors.IsNotFound},
		"not found, with JSON": {http.StatusNotFound, "application/json", "{", apierrors.IsNotFound},
		"a page":               {http.StatusOK, "application/json", "<html>", undecodable},
		"cut off":              {http.StatusOK, "application/json", `{"kind":"WidgetList","items":[` + listedWidget, undecodable},
		"nothing":              {http.StatusOK, "application/json", `{}`, undecodable},
		"null":                 {http.StatusOK, "application/json", `null`, undecodable},
		"somebody's error":     {http.StatusOK, "application/json", `{"error":"please log in"}`, undecodable},
		"a table":              {http.StatusOK, "application/json", `{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[]}`, undecodable},
		"an object":            {http.StatusOK, "application/json", watchedWidget, undecodable},
		"a success":            {http.StatusOK, "application/json", `{"kind":"Status","apiVersion":"v1","status":"Success"}`, undecodable},
		"an item that is null": {http.StatusOK, "application/json", `{"kind":"WidgetList","apiVersion":"example.com/v1","items":[null]}`, undecodable},
		"an item that is text": {http.StatusOK, "application/json", `{"kind":"WidgetList","apiVersion":"example.com/v1","items":["x"]}`, undecodable},
		"labels that are none": {http.StatusOK, "application/json", `{"kind":"WidgetList","apiVersion":"example.com/v1","items":[{"metadata":{"name":"odd","labels":{"a":1}}}]}`, func(err error) bool {
			return undecodable(err) && strings.Contains(err.Error(), `"odd"`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			client := newTestClient(t, answerWith(test.code, test.contentType, test.body))
			if list, err := client.List(t.Context(), widgets, "", metav1.ListOptions{}); !test.is(err) {
				t.Errorf("list: %+v, %v", list, err)
			}
		})
	}
}

func TestClientTakesAnEmptyListForOne(t *testing.T) {
	for _, items := range []string{`[]`, `null`} {
		client := newTestClient(t, answerWith(http.StatusOK, "application/json", `{"kind":"WidgetList","apiVersion":"example.com/v1","metadata":{"resourceVersion":"7"},"items":`+items+`}`))
		if list, err := client.List(t.Context(), widgets, "", metav1.ListOptions{}); err != nil || len(list.Items) != 0 || list.GetResourceVersion() != "7" {
			t.Errorf("items %s: %+v, %v", items, list, err)
		}
	}
}
