// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// statusTimeout bounds the one request.
const statusTimeout = 15 * time.Second

func newStatus() *cobra.Command {
	var (
		at     cluster
		group  string
		output string
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show who holds what",
		Long: `Shows the members of a group and who holds which shard, from one list of its
Leases. It needs no permission but to list Leases in the namespace.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(outputs, output) {
				return fmt.Errorf("-o: %q is not allowed: use %s", output, strings.Join(outputs[1:], ", "))
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), statusTimeout)
			defer cancel()
			s, err := readStatus(ctx, &at, group)
			if err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), s, output)
		},
	}
	at.addFlags(cmd)
	cmd.Flags().StringVarP(&group, "group", "g", "", "the group (default: the only one in the namespace)")
	cmd.Flags().StringVarP(&output, "output", "o", "", "output format: "+strings.Join(outputs[1:], ", "))
	return cmd
}

var outputs = []string{"", "json", "yaml", "wide"}

func readStatus(ctx context.Context, at *cluster, group string) (status.Status, error) {
	rc, namespace, err := at.resolve()
	if err != nil {
		return status.Status{}, err
	}
	client, err := coordinationclient.NewForConfig(rc)
	if err != nil {
		return status.Status{}, fmt.Errorf("client for Leases: %w", err)
	}
	selector := lease.LabelGroup
	if group != "" {
		selector += "=" + group
	}
	list, err := client.Leases(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return status.Status{}, fmt.Errorf("listing the Leases of namespace %s: %w", namespace, err)
	}
	if group, err = theGroup(list.Items, group, namespace); err != nil {
		return status.Status{}, err
	}
	return status.Of(group, namespace, list.Items, time.Now()), nil
}

// theGroup is the one that was asked for, or the only one there is.
func theGroup(leases []coordinationv1.Lease, asked, namespace string) (string, error) {
	found := map[string]bool{}
	for _, l := range leases {
		found[l.Labels[lease.LabelGroup]] = true
	}
	names := slices.Sorted(maps.Keys(found))
	switch {
	case len(names) == 0 && asked != "":
		return "", fmt.Errorf("there is no group %q in namespace %s: name another with --group or --namespace", asked, namespace)
	case len(names) == 0:
		return "", fmt.Errorf("there is no group in namespace %s: name another with --namespace", namespace)
	case len(names) > 1:
		return "", fmt.Errorf("there are several groups in namespace %s: choose with --group: %s", namespace, strings.Join(names, ", "))
	}
	return names[0], nil
}

func printStatus(w io.Writer, s status.Status, output string) error {
	var raw []byte
	var err error
	switch output {
	case "json":
		raw, err = json.MarshalIndent(s, "", "  ")
		raw = append(raw, '\n')
	case "yaml":
		raw, err = yaml.Marshal(s)
	default:
		return s.Print(w, output == "wide", time.Now())
	}
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	if _, err := w.Write(raw); err != nil {
		return fmt.Errorf("printing the status: %w", err)
	}
	return nil
}
