// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/pkg/fence"
)

// What the API server says of a token that is bound to a Pod.
const (
	podNameKey = "authentication.kubernetes.io/pod-name"
	podUIDKey  = "authentication.kubernetes.io/pod-uid"
)

// accountPrefix begins the user names of the service accounts of all namespaces.
const accountPrefix = "system:serviceaccount:"

// introductionBackoff spaces the attempts to learn who this replica is. They go on at
// the cap: nothing waits for the answer.
var introductionBackoff = wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.5, Steps: 100, Cap: time.Minute}

// introduction learns from the API server whom that takes this replica for, and reports
// which fence its configuration calls for: one that judges the writes of that user.
type introduction struct {
	reviews authenticationclient.SelfSubjectReviewInterface
	pod     string // as the holder identities of this replica have it
	podUID  string // likewise; empty outside of any Pod
	report  func(digest string)

	mu      sync.Mutex
	options fence.Options // without the service account until that is known
}

func newIntroduction(rc *rest.Config, cfg *config.Config, namespace string, report func(digest string)) (*introduction, error) {
	client, err := authenticationclient.NewForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("client for the review of this replica's user: %w", err)
	}
	pod, err := podName()
	if err != nil {
		return nil, err
	}
	return &introduction{
		reviews: client.SelfSubjectReviews(),
		options: fence.Options{Group: cfg.Name, Namespace: namespace, Types: config.TypesOf(cfg)},
		pod:     pod,
		podUID:  os.Getenv("POD_UID"), // as shard.GroupOptions tell
		report:  report,
	}, nil
}

// podName is the default of shard.GroupOptions. A host's name is not always that of
// its Pod: not in the host's network, with a hostname of the Pod's own, or beyond 63
// characters.
func podName() (string, error) {
	if name := os.Getenv("POD_NAME"); name != "" {
		return name, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("the replica has no name: set POD_NAME: %w", err)
	}
	return strings.ToLower(host), nil
}

// run ends when the digest is reported, when there is none to report, or with ctx. Without
// a type it is known at once that no fence is called for; who this replica is matters as soon
// as it gets one.
func (i *introduction) run(ctx context.Context) {
	i.tell(klog.FromContext(ctx))
	user, ok := i.user(ctx)
	if !ok {
		return
	}
	log := klog.FromContext(ctx).WithValues("user", user.Username)
	account, ok := strings.CutPrefix(user.Username, accountPrefix+i.options.Namespace+":")
	if !ok {
		if i.writes() {
			log.Info("The API server's fence does not judge what this replica writes: it judges a service account of the group's namespace, and nobody else",
				"namespace", i.options.Namespace)
		}
		return
	}
	if i.writes() {
		i.warnUnlessBound(log, user)
	}
	i.mu.Lock()
	i.options.ServiceAccount = account
	i.mu.Unlock()
	i.tell(log)
}

// writes tells whether there are types that a fence could judge.
func (i *introduction) writes() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.options.Types) > 0
}

// calls says for which types there is to be a fence from now on.
func (i *introduction) calls(ctx context.Context, types []fence.Type) {
	i.mu.Lock()
	i.options.Types = types
	i.mu.Unlock()
	i.tell(klog.FromContext(ctx))
}

// tell reports the fence that this replica calls for, once it knows for which user.
func (i *introduction) tell(log klog.Logger) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.options.Types) == 0 {
		i.report(fence.None)
		return
	}
	if i.options.ServiceAccount == "" {
		return
	}
	called, err := fence.New(i.options)
	if err != nil {
		log.Error(err, "Which fence this replica calls for cannot be told")
		return
	}
	i.report(called.Digest())
}

// warnUnlessBound logs what the API server's fence will refuse: it wants the holder
// identities of a shard's Lease to begin with the name and the UID of the token's Pod.
func (i *introduction) warnUnlessBound(log klog.Logger, user authenticationv1.UserInfo) {
	name, uid := user.Extra[podNameKey], user.Extra[podUIDKey]
	if i.podUID == "" || slices.Equal(name, []string{i.pod}) && slices.Equal(uid, []string{i.podUID}) {
		return
	}
	log.Info("The API server's fence, where it is installed, refuses what this replica writes: its token is not bound to its Pod, by this name and UID. "+
		"Use the token that the kubelet mounts, and set POD_NAME from metadata.name and POD_UID from metadata.uid",
		"pod", i.pod, "podUID", i.podUID, "boundTo", name, "boundToUID", uid)
}

// user asks until there is an answer, or ctx ends: then it returns false.
func (i *introduction) user(ctx context.Context) (authenticationv1.UserInfo, bool) {
	pause := introductionBackoff
	for told := false; ; told = true {
		user, err := i.ask(ctx)
		if err == nil {
			return user, true
		}
		if !told && ctx.Err() == nil {
			klog.FromContext(ctx).Info("The API server does not say who this replica is; until it does, `shardctl status` cannot tell whether the fence matches", "err", err)
		}
		if !sleep(ctx, pause.Step()) {
			return authenticationv1.UserInfo{}, false
		}
	}
}

func (i *introduction) ask(ctx context.Context) (authenticationv1.UserInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	answer, err := i.reviews.Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, fmt.Errorf("asking who this replica is: %w", err)
	}
	return answer.Status.UserInfo, nil
}
