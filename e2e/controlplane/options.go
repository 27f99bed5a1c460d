// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// AuditLevel says how much of every request goes into the audit log.
type AuditLevel string

// The audit levels of the API server; the zero value writes no audit log.
const (
	AuditNone            AuditLevel = ""
	AuditMetadata        AuditLevel = "Metadata"        // who did what to which object, and the answer's status
	AuditRequest         AuditLevel = "Request"         // and the request's body
	AuditRequestResponse AuditLevel = "RequestResponse" // and the answer's body
)

const (
	defaultStartTimeout = time.Minute
	minNodeGracePeriod  = time.Second
	maxAPIServers       = 2 // one that lags behind another is all that more of them could show
)

// Options of a control plane. The zero value is usable: a temporary directory, no audit log, the controllers of
// [DefaultControllers].
type Options struct {
	// Dir holds the data, keys, kubeconfigs and (unless LogDir is set) logs. It must be absent or empty, and Stop removes it.
	// Default: a new directory under os.TempDir().
	Dir string
	// LogDir receives the servers' logs and the audit log; it is created if need be and never removed.
	// Default: a directory within Dir, so removed by Stop; in Start with -artifacts, the test's artifact directory.
	LogDir string
	// Audit switches the audit log on. It is never rotated, so at AuditRequestResponse it grows fast.
	Audit AuditLevel
	// KeepHistory switches off etcd's compaction, so that a watch from the first revision sees everything that ever happened.
	// The history then grows without limit (etcd refuses writes at 2 GiB). Default: compacted every 5 minutes.
	KeepHistory bool
	// Durable has etcd flush every write to the disk before it answers, as one that is not thrown away does. Default: it does
	// not, which spares the disk and tests some time.
	Durable bool
	// Controllers are the kube-controller-manager's controllers to run, by their names in its --controllers flag.
	// Default: DefaultControllers. A CRD's objects are garbage collected from about 30 s after the CRD was made: that is how
	// often the collector looks for new types.
	Controllers []string
	// APIServers is how many API servers share etcd, as in a cluster of several control plane nodes: each has its own watch
	// caches, and its own network to etcd (see CutFromEtcd). At most 2; default 1. The second takes another 270 MB of memory.
	APIServers int
	// EtcdProxy puts a network that can be disturbed between a single API server and etcd, too.
	EtcdProxy bool
	// NoControllerManager runs no controllers at all: nothing is garbage collected, a deleted namespace stays Terminating
	// and a namespace gets no service account of its own. It excludes Controllers.
	NoControllerManager bool
	// Scheduler runs kube-scheduler, for a cluster with nodes that run Pods. Default: nobody gives a Pod its node.
	Scheduler bool
	// NodeGracePeriod is how long the node lifecycle controller, if it is among the Controllers, lets a node be silent before it
	// is not ready; at least 1 s. Default: the controller's own, 50 s.
	NodeGracePeriod time.Duration
	// StartTimeout limits the wait for each server to become ready, at the start and after a restart. Default: 1 minute.
	StartTimeout time.Duration
	// Output receives one line when a build begins, since that takes minutes. Default: os.Stderr.
	Output io.Writer
}

// DefaultControllers are what tests of a controller notice when it is missing. Those that would act on Pods and Nodes
// without a kubelet (node lifecycle, Pod garbage collection) are not among them.
func DefaultControllers() []string {
	return []string{
		"clusterrole-aggregation-controller",
		"garbage-collector-controller",
		"namespace-controller",
		"root-ca-certificate-publisher-controller",
		serviceAccountController,
		"serviceaccount-token-controller",
		"validatingadmissionpolicy-status-controller",
	}
}

// withDefaults returns the options to use, or an error that names every field that cannot be used.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	levels := []AuditLevel{AuditNone, AuditMetadata, AuditRequest, AuditRequestResponse}
	if !slices.Contains(levels, o.Audit) {
		errs = append(errs, fmt.Errorf("audit: %q is not a level: use %q, %q or %q", o.Audit, levels[1], levels[2], levels[3]))
	}
	if o.NoControllerManager && len(o.Controllers) > 0 {
		errs = append(errs, errors.New("controllers: cannot be given together with noControllerManager: leave one of them out"))
	}
	if o.APIServers < 0 || o.APIServers > maxAPIServers {
		errs = append(errs, fmt.Errorf("apiServers: %d is not possible: use 1 or %d", o.APIServers, maxAPIServers))
	}
	if o.NodeGracePeriod != 0 && o.NodeGracePeriod < minNodeGracePeriod {
		errs = append(errs, fmt.Errorf("nodeGracePeriod: %v is too short: use 0 for the default or %v or more", o.NodeGracePeriod, minNodeGracePeriod))
	}
	if o.StartTimeout < 0 {
		errs = append(errs, fmt.Errorf("startTimeout: %v is negative: use 0 for the default of %v", o.StartTimeout, defaultStartTimeout))
	}
	if len(errs) > 0 {
		return o, fmt.Errorf("control plane options: %w", errors.Join(errs...))
	}
	if o.APIServers == 0 {
		o.APIServers = 1
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = defaultStartTimeout
	}
	if len(o.Controllers) == 0 {
		o.Controllers = DefaultControllers()
	}
	if o.Output == nil {
		o.Output = os.Stderr
	}
	return o, nil
}

// makeDir returns the absolute path of a directory that is empty and this control plane's own.
func (o Options) makeDir() (string, error) {
	if o.Dir == "" {
		return os.MkdirTemp("", "shardctl-controlplane-")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("dir: %s is not empty: name a new directory, since it is removed in the end", dir)
	}
	return dir, nil
}
