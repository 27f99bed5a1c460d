// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

// etcdMetrics asks etcd for its metrics.
func etcdMetrics(ctx context.Context, cp *controlplane.ControlPlane) (m controlplane.Metrics, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("etcd's metrics: %w", err)
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cp.EtcdEndpoint()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cp.EtcdTLS(), DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", answer.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(answer.Body)
}
