// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	_ "embed"
	"fmt"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

const workers = 3

// Paths in the node of the control plane.
const (
	auditPolicyPath = "/etc/kubernetes/audit/policy.yaml"
	auditLogPath    = "/var/log/kubernetes/audit.log"
)

const etcdPort = 2379

// auditPolicy has what the oracle reads, and of the rest nothing, for the API server has little time.
//
//go:embed audit-policy.yaml
var auditPolicy []byte

// apiServerPatch keeps all of etcd's history, and turns on the audit log. The two forms are those of kubeadm's v1beta4 and of
// v1beta3 before it; a patch applies to its own version only.
//
// A merge patch replaces lists, so the first repeats the argument that kind gives: that nothing is added to the APIs by default.
const apiServerPatch = `
kind: ClusterConfiguration
apiVersion: kubeadm.k8s.io/%[1]s
apiServer:
  extraArgs: %[2]s
  extraVolumes:
  - {name: audit-policy, hostPath: %[3]q, mountPath: %[3]q, readOnly: true, pathType: File}
  - {name: audit-log, hostPath: /var/log/kubernetes, mountPath: /var/log/kubernetes, pathType: DirectoryOrCreate}
`

func apiServerPatches() []string {
	const (
		list = "[{name: runtime-config, value: ''}, {name: audit-policy-file, value: %[1]s}, {name: audit-log-path, value: %[2]s}, " +
			"{name: audit-log-maxsize, value: '0'}, {name: etcd-compaction-interval, value: '0'}]"
		object = "{audit-policy-file: %[1]s, audit-log-path: %[2]s, audit-log-maxsize: '0', etcd-compaction-interval: '0'}"
	)
	patch := func(version, arguments string) string {
		return fmt.Sprintf(apiServerPatch, version, fmt.Sprintf(arguments, auditPolicyPath, auditLogPath), auditPolicyPath)
	}
	return []string{patch("v1beta4", list), patch("v1beta3", object)}
}

// clusterConfig is kind's configuration. The policy is a file on this machine.
func clusterConfig(policyFile string) *v1alpha4.Cluster {
	config := &v1alpha4.Cluster{
		Nodes: []v1alpha4.Node{{
			Role:        v1alpha4.ControlPlaneRole,
			ExtraMounts: []v1alpha4.Mount{{HostPath: policyFile, ContainerPath: auditPolicyPath, Readonly: true}},
			// A free port of this machine: docker's networks cannot be reached from everywhere that docker runs.
			ExtraPortMappings: []v1alpha4.PortMapping{{ContainerPort: etcdPort, ListenAddress: "127.0.0.1", Protocol: v1alpha4.PortMappingProtocolTCP}},
		}},
		KubeadmConfigPatches: apiServerPatches(),
	}
	for range workers {
		config.Nodes = append(config.Nodes, v1alpha4.Node{Role: v1alpha4.WorkerRole})
	}
	return config
}
