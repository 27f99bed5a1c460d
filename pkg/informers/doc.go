// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package informers keeps every watched type warm in memory: one shared
// informer per resource type, on every replica, whether the replica leads the
// type or not.
//
// A [Set] owns the informers. [Set.Watch] hands out an [Informer], one
// consumer's reference to a type; the type is watched once, however many
// consumers there are, and until the last of them has called
// [Informer.Release]. Types may be added and removed before and while
// [Set.Run] runs:
//
//	client, err := informers.NewClient(restConfig)
//	...
//	set, err := informers.New(client, discoveryClient, informers.Options{})
//	...
//	informer := set.Watch(widgets) // a schema.GroupVersionResource
//	remove, err := informer.AddHandler(cache.ResourceEventHandlerFuncs{ ... })
//	...
//	group.Go(func() error { return set.Run(ctx) })
//	err = informer.WaitSynced(ctx)
//
// Listing, watching, caching and delivery are client-go's; this package adds
// what happens around them when a type is not there.
//
// # Types that come and go
//
// A type need not be served when it is watched. Discovery says whether it is:
// one request at a time per group-version, however many types of it are waited
// for, with a jittered back-off that is capped. While something is missing
// the metadata of CustomResourceDefinitions is watched (where
// [Options.Metadata] is given and RBAC allows it), and a change there makes
// discovery be asked at once, so that nothing depends on fast polling.
//
// A list or watch that is answered with 404 is not believed by itself: an API
// server that has only just started, or lags behind its peers, may say so. Only
// when discovery agrees is the type [Missing] again; then its watch is stopped,
// the cache is emptied and every handler gets a delete, as a
// [cache.DeletedFinalStateUnknown], for each object that it was told of and that
// was not reported deleted before. When the type comes back, the same handlers
// are registered with a new client-go informer. Handlers thus see one gapless
// story per object, across any number of such changes.
//
// # When the API server is away
//
// An API server that was restarted remembers no changes from before, so every watch that
// is resumed there is told to list anew (410). client-go's reflector does so after
// its back-off (0.8 s doubling to 30 s and up to as much again, starting anew after
// two minutes without), so that after some restarts a replica would see nothing for up to a
// minute. Here what was missed is listed after 0.1 to 0.3 s and becomes events of
// the watch; and a request that the API server does not answer, or asks to be made
// later (429, 503), is repeated at least every 3 s. The same goes, for the first 10 s,
// for refusals (401, 403, 500, 504) of a type that could be had before: an API server that has
// just started does not know the roles yet. All pauses are jittered by half, and
// watches that go on ending at once are spaced by pauses that double to 30 s.
//
// A list or watch that fails otherwise (forbidden, a broken conversion webhook) is
// retried by the reflector with its back-off. Any failure is visible as [Failing] with the
// error in [Informer.State], and is logged at most once a minute instead of at every
// attempt. What is in the cache stays there.
//
// # Invariants
//
//   - [Informer.Synced] means that the whole initial list is in the cache and
//     that every handler added through that Informer has returned from the
//     delivery of it. It is per consumer: neither a slow handler of another
//     consumer nor one it adds late makes it false.
//   - The cache changes before handlers are told. To one handler calls come one
//     at a time, and for one object in order.
//   - [Informer.LastResourceVersion] is what the cache has reached, not what is
//     still queued in front of it.
//   - One type holds up no other: each has its own loop, each group-version its
//     own discovery requests.
//   - When Run returns, no request, watch or handler call of the Set is under
//     way any more.
//
// # Memory
//
// Every replica keeps every object, and few are looked at. So an [Object] is kept as
// the JSON that the API server has sent, compressed, with as much of its metadata
// decoded as events, selectors and indexes need. Whoever needs the rest decodes it
// and gets a copy of his own: [Object.Decode], [Object.DecodeInto]. That takes some tens
// of microseconds for an object of 4 KB; receiving one takes less than decoding it
// would.
//
// Objects of a type resemble each other. The first ones, 32 KiB together, become a
// dictionary which later ones are compressed with (the S2 format of
// github.com/klauspost/compress, a variant of Snappy). An object of many small fields takes
// a twentieth to a tenth of what it takes decoded; of one that is mostly random text,
// such as a certificate, nothing is saved but the fields. docs/benchmarks.md has
// figures, docs/design/008-cached-objects.md the reasons.
//
// metadata.managedFields is dropped before an object is cached: it can be as large
// as the rest of it, and nothing that reconciles needs it. The
// annotation kubectl.kubernetes.io/last-applied-configuration stays: hooks
// compare it. [Options.Transform] can drop more. Besides the object itself each
// handler costs one map entry per object: what it has been told exists.
//
// Objects from the cache and in handlers are shared by everyone in the process and do not
// change. (Running tests with KUBE_CACHE_MUTATION_DETECTOR=true makes client-go panic if
// somebody changes a label of one. KUBE_WATCHLIST_INCONSISTENCY_DETECTOR is of no use: it
// compares objects as they are kept, which depends on when they came.)
//
// # Tests
//
// The package is tested on virtual time (testing/synctest) against an API
// server made of client-go's dynamic fake and a discovery that can serve,
// withdraw, forbid and fail types; finding a field in JSON by a fuzz test against
// encoding/json; what holds against a real kube-apiserver is
// tested in e2e/.
package informers
