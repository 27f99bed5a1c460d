// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// rejections is the metric by which a replica says what its local fence did not let pass, by reason.
const rejections = "shardctl_fence_rejections_total"

// byServer is the reason for which the local fence counts what the API server's has refused for good.
const byServer = "server"

// maxMetrics bounds what is read of a replica's metrics.
const maxMetrics = 4 << 20

// refusals are how many writes the local fence has refused, by the process that has said so last: the counters of a new
// process start from zero.
type refusals map[int]int

func (r refusals) sum() (n int) {
	for _, of := range r {
		n += of
	}
	return n
}

// scrape reads the replica's counters as they are now. Of a process that is killed the last time counts.
func (r *replica) scrape(ctx context.Context) error {
	pid := r.PID()
	address, err := r.HTTPAddress(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("metrics of replica %s: %w", r.Name(), err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, maxMetrics))
	if err != nil {
		return fmt.Errorf("metrics of replica %s: %w", r.Name(), err)
	}
	refused := 0
	for _, metric := range families[rejections].GetMetric() {
		locally := true
		for _, label := range metric.GetLabel() {
			locally = locally && !(label.GetName() == "reason" && label.GetValue() == byServer)
		}
		if locally {
			refused += int(metric.GetCounter().GetValue())
		}
	}
	r.refused[pid] = refused
	return nil
}
