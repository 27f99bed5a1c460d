// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command hook is an example of a hook server: it gives every object that shardctl asks it about a ConfigMap with a label for
// it, and a status that says so. It decides only; all reading and writing in the cluster is shardctl's.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"
)

// request is what of metacontroller's DecoratorController request this hook looks at.
type request struct {
	Object object `json:"object"`
}

type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name       string `json:"name"`
		Generation int64  `json:"generation"`
	} `json:"metadata"`
	Spec struct {
		Size  int    `json:"size"`
		Color string `json:"color"`
	} `json:"spec"`
}

// response says what the object's status should be, and all that should be attached to it.
type response struct {
	Status      status      `json:"status"`
	Attachments []configMap `json:"attachments"`
}

type status struct {
	Phase              string `json:"phase"`
	Label              string `json:"label"`
	ObservedGeneration int64  `json:"observedGeneration"`
}

type configMap struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Data       map[string]string `json:"data"`
}

// sync decides. The same request always gets the same answer.
func sync(o object) response {
	label := fmt.Sprintf("%s, size %d", o.Spec.Color, o.Spec.Size)
	return response{
		Status: status{Phase: "Ready", Label: label, ObservedGeneration: o.Metadata.Generation},
		Attachments: []configMap{{
			APIVersion: "v1",
			Kind:       "ConfigMap",
			Metadata:   map[string]string{"name": strings.ToLower(o.Kind) + "-" + o.Metadata.Name},
			Data:       map[string]string{"label": label},
		}},
	}
}

func serveSync(w http.ResponseWriter, r *http.Request) {
	var req request
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(sync(req.Object)); err != nil {
		log.Printf("answering for %s %s: %v", req.Object.Kind, req.Object.Metadata.Name, err)
	}
}

func main() {
	address := flag.String("listen", "127.0.0.1:8088", "host:port to listen on; port 0 takes a free one")
	flag.Parse()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on http://%s", listener.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sync", serveSync)
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second}
	log.Fatal(server.Serve(listener))
}
