// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/internal/status"
)

func newStatus() *cobra.Command {
	var (
		of     target
		output string
		watch  bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show who holds what",
		Long: `Shows the members of a group and who holds which shard, from one list of its
Leases. It needs no permission but to list Leases in the namespace.

It also tells whether the fence in the API server is installed, and as the members'
configurations call for, if it may list validatingadmissionpolicies and
validatingadmissionpolicybindings of admissionregistration.k8s.io. With --watch this
is read again every 30 s.

With --watch, which needs the permission to watch them, too, it goes on until
SIGINT or SIGTERM and exits with 0. In a terminal the tables are redrawn in place.
Else it prints a line for each member and shard as it is at first, and then one for
each change, such as

    2026-11-20T12:00:00Z shard widgets.example.com: held by a -> b (epoch 5)

With --watch, -o json prints the whole status as one line of JSON, at first and
after each change, and -o yaml as one document. Lost connections are made again,
and told: in the terminal or among the lines, with -o json and yaml on the standard
error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(outputs, output) {
				return fmt.Errorf("-o: %q is not allowed: use %s", output, strings.Join(outputs[1:], ", "))
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			g, now, err := of.open(ctx)
			if err != nil {
				return err
			}
			if watch {
				return g.watch(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), output)
			}
			now.Fence = g.installed(ctx).Judge(now.Status)
			return printStatus(cmd.OutOrStdout(), now.Status, output)
		},
	}
	of.addFlags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "output format: "+strings.Join(outputs[1:], ", "))
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on showing what changes")
	return cmd
}

var outputs = []string{"", "json", "yaml", "wide"}

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

// watch shows the group as it changes, until the context ends.
func (g *group) watch(ctx context.Context, out, errOut io.Writer, output string) error {
	var err error
	wide := output == "wide"
	switch s, isTerminal := terminal(out); {
	case output == "json" || output == "yaml":
		err = g.followFenced(ctx, 0, (&documents{out: out, notes: errOut, yaml: output == "yaml"}).show)
	case isTerminal:
		s.wide = wide
		s.open()
		defer s.close()
		err = g.followFenced(ctx, redrawPause, s.show)
	default:
		err = g.followFenced(ctx, 0, (&lines{out: out}).show)
	}
	if ctx.Err() != nil {
		return nil // that is how it is meant to end
	}
	return err
}
