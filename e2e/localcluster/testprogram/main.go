// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command testprogram is what the containers of localcluster's tests run. It does what it is asked to by HTTP, at the port that
// is its argument, and ends by SIGTERM.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	terminationLog = "/dev/termination-log"
	readTimeout    = 5 * time.Second
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: testprogram PORT")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, port string) error {
	server := &http.Server{Addr: ":" + port, Handler: handler(), ReadHeaderTimeout: readTimeout}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	fmt.Println("listening")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		fmt.Println("asked to end")
		return errors.Join(note("ended when asked to"), server.Close())
	}
}

func handler() http.Handler {
	mux := http.NewServeMux()
	var sick atomic.Bool
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			http.Error(w, "sick", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/sicken", func(http.ResponseWriter, *http.Request) { sick.Store(true) })
	mux.HandleFunc("/environment", func(w http.ResponseWriter, _ *http.Request) { answer(w, os.Environ(), nil) })
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		content, err := os.ReadFile(r.FormValue("path"))
		answer(w, string(content), err)
	})
	mux.HandleFunc("/list", func(w http.ResponseWriter, r *http.Request) {
		entries, err := os.ReadDir(r.FormValue("path"))
		names := []string{}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		answer(w, names, err)
	})
	mux.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		answer(w, "written", os.WriteFile(r.FormValue("path"), nil, 0o600))
	})
	mux.HandleFunc("/identity", func(w http.ResponseWriter, r *http.Request) {
		user, err := whoAmI(r.Context())
		answer(w, user, err)
	})
	mux.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) {
		if err := note(r.FormValue("message")); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(3)
	})
	return mux
}

func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	_ = json.NewEncoder(w).Encode(value)
}

func note(text string) error { return os.WriteFile(terminationLog, []byte(text), 0) }

// whoAmI asks the API server, as any program in a Pod would.
func whoAmI(ctx context.Context) (*authenticationv1.UserInfo, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().
		Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return &review.Status.UserInfo, nil
}
