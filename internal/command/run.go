// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"context"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/replica"
	"github.com/shardctl/shardctl/internal/terminationlog"
	"github.com/shardctl/shardctl/internal/version"
)

func newRun() *cobra.Command {
	var (
		at        cluster
		file      string
		options   replica.Options
		format    string
		verbosity int
	)
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run one replica of a group",
		Long: `Runs one replica of the group that the configuration names, until SIGTERM or
SIGINT. Then it hands over what it holds, ends its session and exits with 0; a
second signal ends it at once.

Environment: POD_NAME, POD_UID and SHARDCTL_CONTAINER say which replica this is;
POD_NAMESPACE is the default for --namespace.

At its start it asks the API server whether it may do all that the configuration
needs, waits 5 s for what is missing, and ends with a list of that if it still is.
What "shardctl rbac FILE" prints grants it.

The file is read again when it changes, and at SIGHUP: roles are added, removed and
replaced while the replica runs. A file that is not valid, that needs permissions
which are missing, or that changes anything else than roles and workers is
refused as a whole; the last one stays in force, which the log, "shardctl status"
and the metric shardctl_config_last_reload_successful tell.

Shards move to newer versions of the program only. Which version this is of says
the Deployment's ReplicaSet, or the ControllerRevision of a StatefulSet or
DaemonSet, that the Pod belongs to, if the replica may get pods and
replicasets.apps or controllerrevisions.apps in its namespace; otherwise
--revision does. With the permission to patch pods, a Pod of an old version that
holds nothing any more is the first one that its Deployment deletes.`,
		Args: cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			if err := setLogging(os.Stderr, format, verbosity); err != nil {
				return err
			}
			// From the first moment on: a signal that nobody awaits kills.
			log := klog.Background().WithName("shardctl")
			ctx, stop := untilSignal(klog.NewContext(context.Background(), log))
			defer stop()
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			at.namespace = cmp.Or(at.namespace, os.Getenv("POD_NAMESPACE"))
			rc, namespace, err := at.resolve()
			if err != nil {
				return err
			}
			options.Namespace, options.ConfigFile = namespace, file
			var ignore func()
			options.Reload, ignore = onHangup()
			defer ignore()
			// Not ctx: whoever is told to stop while it starts leaves in order, too.
			r, err := replica.New(context.WithoutCancel(ctx), rc, cfg, options)
			if err != nil {
				return err
			}
			log.Info("Starting", "version", version.String(), "config", file, "group", cfg.Name)
			return r.Run(ctx)
		},
	}
	at.addFlags(cmd)
	cmd.Flags().StringVar(&file, "config", "", "configuration file (required)")
	cmd.Flags().Int64Var(&options.Revision, "revision", 0, "orders versions of the program, where the Pod's owner does not: shards never move to a lower one")
	cmd.Flags().StringVar(&options.TerminationLog, "termination-log", terminationlog.Default,
		"the container's terminationMessagePath, which tells the others that this replica has ended; "+terminationlog.Off+" for none")
	cmd.Flags().BoolVar(&options.TolerateMissingPermissions, "tolerate-missing-permissions", false,
		"only log which permissions are missing: for those that were granted for some namespaces or names only")
	cmd.Flags().BoolVar(&options.Pprof, "pprof", false,
		"serve profiles of the process at /debug/pprof/: only if spec.http.authorization protects them, or spec.http.address is a loopback address")
	cmd.Flags().StringVar(&format, "log-format", logText, "format of the log: "+logText+", or "+logJSON+" with an object in each line")
	cmd.Flags().IntVarP(&verbosity, "v", "v", 0, "verbosity of the log: 3 shows failed requests on Leases")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag was defined above
	}
	return cmd
}
