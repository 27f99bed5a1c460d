// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/internal/status"
)

// documents shows a group as it changes to programs: the whole status after each
// change, as a line of JSON or a document of YAML.
type documents struct {
	out    io.Writer
	notes  io.Writer // about the connection
	yaml   bool
	before *status.Status // nil at first
	lost   bool
}

func (d *documents) show(v view) (enough bool, err error) {
	if connection := connectionNews(d.lost, v.lost); connection != "" {
		fmt.Fprintln(d.notes, "shardctl:", connection)
	}
	d.lost = v.lost != nil
	changed := d.before == nil || len(status.Changes(*d.before, v.Status)) > 0
	d.before = &v.Status
	if !changed {
		return false, nil
	}
	raw, err := d.encode(v.Status)
	if err != nil {
		return false, fmt.Errorf("encoding the status: %w", err)
	}
	if _, err := d.out.Write(raw); err != nil {
		return false, fmt.Errorf("printing the status: %w", err)
	}
	return false, nil
}

func (d *documents) encode(s status.Status) ([]byte, error) {
	if d.yaml {
		raw, err := yaml.Marshal(s)
		return append([]byte("---\n"), raw...), err
	}
	raw, err := json.Marshal(s)
	return append(raw, '\n'), err
}
