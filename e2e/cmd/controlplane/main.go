// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command controlplane starts a real Kubernetes control plane on this machine, prints how to reach it, and stays up until
// SIGINT or SIGTERM. Then it removes every trace of it. See package e2e/controlplane.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on, a second one ends this process at once; the servers go with it.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	options   controlplane.Options
	buildOnly bool
}

// run prints the kubeconfig's path, as a command for a shell, to stdout, and what is for people to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	settings, err := parse(args, stderr)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return nil
	case err != nil:
		return err
	case settings.buildOnly:
		binaries, err := controlplane.Build(ctx, stderr)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, binaries.Dir)
		return nil
	}
	return serve(ctx, settings.options, stdout, stderr)
}

func parse(args []string, stderr io.Writer) (settings, error) {
	s := settings{options: controlplane.Options{Output: stderr}}
	var audit string
	flags := pflag.NewFlagSet("controlplane", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.options.Dir, "dir", "", "new or empty directory for data, keys and logs, removed in the end (default a temporary one)")
	flags.StringVar(&s.options.LogDir, "log-dir", "", "directory for the logs, which stays (default within --dir)")
	flags.StringVar(&audit, "audit", "", "write an audit log: Metadata (if no level is given), Request or RequestResponse")
	flags.Lookup("audit").NoOptDefVal = string(controlplane.AuditMetadata)
	flags.BoolVar(&s.options.KeepHistory, "keep-history", false, "do not compact etcd")
	flags.StringSliceVar(&s.options.Controllers, "controllers", nil,
		"controllers to run (default "+strings.Join(controlplane.DefaultControllers(), ",")+")")
	flags.BoolVar(&s.options.NoControllerManager, "no-controller-manager", false, "run no controllers: no garbage collection")
	flags.BoolVar(&s.buildOnly, "build-only", false, "build the servers unless they are built, print their directory, and exit")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("%q: no arguments are expected, only flags (see --help)", flags.Arg(0))
	}
	s.options.Audit = controlplane.AuditLevel(audit)
	return s, nil
}

func serve(ctx context.Context, options controlplane.Options, stdout, stderr io.Writer) error {
	began := time.Now()
	cp, err := controlplane.New(ctx, options)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "export KUBECONFIG=%s\n", quote(cp.KubeconfigPath()))
	fmt.Fprintf(stderr, "Kubernetes %s on etcd %s, ready after %v; logs are in %s\n",
		cp.Binaries().Kubernetes, cp.Binaries().Etcd, time.Since(began).Round(10*time.Millisecond), cp.LogDir())
	if options.Audit != controlplane.AuditNone {
		fmt.Fprintf(stderr, "audit log: %s\n", cp.AuditLogPath())
	}
	fmt.Fprintln(stderr, "Ctrl-C stops it and removes all of it")
	// Stop reports why Wait ended, if that was not the signal.
	_ = cp.Wait(ctx)
	return cp.Stop()
}

// quote makes a path one word of a shell's command line.
func quote(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
