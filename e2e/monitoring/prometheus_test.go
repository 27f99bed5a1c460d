// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

const (
	// scrapeInterval is a fifteenth of that of the PodMonitor, so that a test sees in a minute what it sees in a quarter of
	// an hour.
	scrapeInterval = time.Second
	// patience is how long a test waits for what has to happen.
	patience = 60 * time.Second
	// maxAnswer bounds what is read of an answer of Prometheus.
	maxAnswer = 4 << 20
)

// server is a Prometheus that goes by the rules, and scrapes what it is told to.
type server struct {
	prometheusv1.API

	url     string
	targets string // the file that says what is scraped
}

// target is a replica, with the labels that a PodMonitor gives it.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func startPrometheus(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	ruleFile, err := filepath.Abs(filepath.Join(component, "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	s := &server{url: "http://" + address, targets: filepath.Join(dir, "targets.json")}
	configuration := filepath.Join(dir, "prometheus.yaml")
	write(t, configuration, fmt.Sprintf(`
global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: %[1]s}
rule_files: [%[2]q]
scrape_configs:
- job_name: shardctl
  file_sd_configs: [{files: [%[3]q], refresh_interval: 1s}]
`, scrapeInterval, ruleFile, s.targets))
	s.scrape(t)
	log, err := os.Create(filepath.Join(dir, "prometheus.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(prometheusBinary, "--config.file="+configuration, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(t, cmd)
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the end of Prometheus's log:\n%s", text[max(0, len(text)-4096):])
		}
	})
	client, err := api.NewClient(api.Config{Address: s.url})
	if err != nil {
		t.Fatal(err)
	}
	s.API = prometheusv1.NewAPI(client)
	eventually(t, "Prometheus is ready", func(ctx context.Context) error { return s.get(ctx, "/-/ready", nil, nil) })
	return s
}

// stop ends a process that was started, and waits until it has ended.
func stop(t *testing.T, cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		t.Log("Prometheus:", err)
	}
}

// freeAddress asks the kernel. Somebody else may take it before it is used: then Prometheus says so and ends.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	temporary := path + ".new"
	if err := errors.Join(os.WriteFile(temporary, []byte(text), 0o600), os.Rename(temporary, path)); err != nil {
		t.Fatal(err)
	}
}

// scrape says what is to be scraped from now on.
func (s *server) scrape(t *testing.T, targets ...target) {
	t.Helper()
	text, err := json.Marshal(append([]target{}, targets...))
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.targets, string(text))
}

// get decodes the answer of an endpoint that the client library does not know. The context limits it.
func (s *server) get(ctx context.Context, path string, values url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path+"?"+values.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

// number returns what a query with one result has as its result now, or an error if there is none.
func (s *server) number(ctx context.Context, query string) (float64, error) {
	value, _, _, err := s.Query(ctx, query, time.Now())
	if err != nil {
		return 0, err
	}
	vector, ok := value.(model.Vector)
	if !ok || len(vector) != 1 {
		return 0, fmt.Errorf("%s is %v", query, value)
	}
	return float64(vector[0].Value), nil
}

// eventually waits until condition returns nil. What it returned last is why a test fails that waited in vain.
func eventually(t *testing.T, what string, condition func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s until %s: %v", patience, what, err)
		case <-ticker.C:
		}
	}
}

// replicaTarget is the replica as a PodMonitor would find it.
func replicaTarget(pod *controlplane.Replica, address string) target {
	return target{Targets: []string{address}, Labels: map[string]string{"namespace": pod.Namespace, "pod": pod.Name, "container": "shardctl"}}
}
