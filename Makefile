# Copyright The shardctl Authors.
# SPDX-License-Identifier: Apache-2.0

# Needs Go, git and make. Tools are pinned in go.tools.mod and built by the go
# command when they are first used.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# A go.work above this directory must not change what is built.
export GOWORK := off

# Root module, e2e module, and the benchmarks, which need the modules of peers;
# e2e/controlplane/servers and e2e/monitoring/prometheus only build other projects'
# servers.
MODULES := . e2e e2e/bench
TOOL := go tool -modfile="$(CURDIR)/go.tools.mod"

# What `shardctl version` prints.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# More flags for go test, for instance TESTFLAGS='-run TestHandOff -v'.
TESTFLAGS ?=

# More flags for make bench, for instance BENCHFLAGS='--only spread,handoff'. With any,
# nothing is written unless --out=../.. is among them.
BENCHFLAGS ?=

# What make bench-micro measures, and where that is.
MICRO ?= Step|Assign|Bucket|Queue|List|Transform
MICRO_PACKAGES := ./pkg/lease ./pkg/shard ./pkg/informers ./internal/work

# What images are called: $(IMAGE):$(VERSION), and :dev, which is what manifests/ names.
IMAGE ?= shardctl
# The same commit gives the same layers.
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
GOARCH ?= $(shell go env GOARCH)

# Histories of the election that `make sim` simulates.
HISTORIES ?= 20000

# Runs of each kind of fault that `make faults` does.
FAULTS ?= 20

# -race, or nothing where the race detector does not build (on Linux it needs a
# C compiler). Found out once, and only by the targets that use it.
RACE = $(eval RACE := $(shell go build -race runtime/cgo 2>/dev/null && echo -race || \
	echo "note: tests run without the race detector: it needs a C compiler" >&2))$(RACE)

##@ Use

.PHONY: help
help: ## Show this text (default)
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## Build bin/shardctl, static
	CGO_ENABLED=0 go build -trimpath \
		-ldflags '-s -w -X github.com/shardctl/shardctl/internal/version.version=$(VERSION)' \
		-o bin/shardctl ./cmd/shardctl

.PHONY: image
image: ## Build the images IMAGE and IMAGE-example-hook, with nothing pulled (needs docker)
	rm -rf bin/image && mkdir -p bin/image
	CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) go build -trimpath \
		-ldflags '-s -w -X github.com/shardctl/shardctl/internal/version.version=$(VERSION)' \
		-o bin/image/shardctl ./cmd/shardctl
	CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) go build -trimpath -ldflags '-s -w' \
		-o bin/image/example-hook ./examples/decorator/hook
	touch -d '@$(SOURCE_DATE_EPOCH)' bin/image/*
	set -e; for image in shardctl example-hook; do \
		name='$(IMAGE)'; test $$image = shardctl || name="$$name-$$image"; \
		docker build --quiet --platform linux/$(GOARCH) -f Dockerfile.prebuilt --target $$image \
			--build-arg VERSION='$(VERSION)' --build-arg REVISION='$(REVISION)' \
			-t "$$name:$(VERSION)" -t "$$name:dev" bin/image; \
		echo "$$name:$(VERSION) $$name:dev"; \
	done

.PHONY: demo
demo: build ## Three replicas on a real control plane, one killed (KEEP=1 leaves it running)
	cd e2e && SHARDCTL_BINARY="$(CURDIR)/bin/shardctl" KEEP="$(KEEP)" go run ./cmd/demo

.PHONY: local-cluster
local-cluster: ## A cluster on this machine that runs Pods as processes, to try the manifests on (Linux, root)
	cd e2e && go build -o ../bin/localcluster ./cmd/localcluster && exec ../bin/localcluster

##@ Develop

.PHONY: test
test: test-unit sim test-e2e ## Run all tests (the first time builds a control plane: minutes)

.PHONY: test-unit
test-unit: ## Run the tests that need no control plane
	go test $(RACE) -shuffle=on -timeout=10m $(TESTFLAGS) ./...

# The same seed is the same history: SEED=n shows one, with what each replica sees
# if SIMFLAGS=-verbose, and of it what SIMFLAGS='-only ...' names: the minimiser
# prints that.
.PHONY: sim
sim: ## Simulate HISTORIES of the election, or show that of one SEED
	go run ./internal/sim/cmd/sim $(if $(SEED),-seed $(SEED),-histories $(HISTORIES)) $(SIMFLAGS)

.PHONY: sim-nightly
sim-nightly: ## Simulate 1,000,000 histories of the election (half an hour on two cores)
	go run ./internal/sim/cmd/sim -histories 1000000 $(SIMFLAGS)

.PHONY: sim-mutants
sim-mutants: ## Seed one bug after the other: the simulator has to find every one
	go run ./internal/sim/cmd/mutants -histories $(HISTORIES)

# One package at a time: they start servers and measure times. Never from the
# test cache, which does not see the programs that these tests run.
.PHONY: test-e2e
test-e2e: ## Run the tests on a real kube-apiserver and etcd
	cd e2e && go test $(RACE) -count=1 -p=1 -shuffle=on -timeout=30m $(TESTFLAGS) ./...
	cd e2e/bench && go test $(RACE) -count=1 -shuffle=on -timeout=10m $(TESTFLAGS) ./...

.PHONY: e2e-kind
e2e-kind: image ## Test what is deployed on a new kind cluster, with docker (3 minutes; KIND_NODE_IMAGE=IMAGE, KEEP=1)
	cd e2e && E2E_KIND=1 SHARDCTL_IMAGE="$(IMAGE):dev" HOOK_IMAGE="$(IMAGE)-example-hook:dev" \
		KIND_NODE_IMAGE="$(KIND_NODE_IMAGE)" KEEP="$(KEEP)" go test -count=1 -v -timeout=20m $(TESTFLAGS) ./kindtest

# docs/faults.md says what is done and how to read the table. FAULTS=100 is the long
# run, KINDS=pause,swallow some kinds only; the same SEED draws the same.
.PHONY: faults
faults: ## Do harm to replicas and servers, FAULTS times of each kind, and judge every write (half an hour)
	cd e2e && go run ./cmd/faults --runs=$(FAULTS) $(if $(KINDS),--kinds=$(KINDS)) $(if $(SEED),--seed=$(SEED))

# docs/benchmarks.md says what the figures mean. It is built, not run, by the go
# command, which then notes the commit in it.
.PHONY: bench
bench: bin/bench ## Measure shardctl beside its peers, and write docs/benchmarks.md (40 minutes, on a quiet machine)
	cd e2e/bench && ../../bin/bench $(or $(BENCHFLAGS),--out=../..)

BALANCE := assign,rollout,spread,handoff

.PHONY: bench-balance
bench-balance: bin/bench ## The parts of it about shares, hand-overs and moves; writes nothing
	cd e2e/bench && ../../bin/bench $(or $(BENCHFLAGS),--only=$(BALANCE))

.PHONY: bench-render
bench-render: bin/bench ## Make pages and plots again from docs/benchmarks/results.json
	cd e2e/bench && ../../bin/bench --render --out=../..

.PHONY: bin/bench
bin/bench:
	cd e2e/bench && go build -buildvcs=auto -o ../../bin/bench .

# A package at a time, six times each, for benchstat to tell how sure it is.
.PHONY: bench-micro
bench-micro: ## Run the micro-benchmarks that match MICRO, with allocations (10 minutes)
	mkdir -p bin
	go test -run='^$$' -bench='$(MICRO)' -benchmem -count=6 -p=1 $(MICRO_PACKAGES) >bin/bench-micro.txt
	$(TOOL) benchstat bin/bench-micro.txt

.PHONY: lint
lint: ## Check style, likely bugs, dead code and tidiness
	set -e; for module in $(MODULES); do \
		(cd $$module && $(TOOL) golangci-lint run && go mod tidy -diff); done
	@dead=$$($(TOOL) deadcode -test ./...) || exit 1; \
		test -z "$$dead" || { echo "neither used nor tested:"; echo "$$dead"; exit 1; } >&2
	$(TOOL) actionlint

.PHONY: fmt
fmt: ## Format all Go code and tidy the modules
	set -e; for module in $(MODULES); do \
		(cd $$module && $(TOOL) golangci-lint fmt && go mod tidy); done

.PHONY: pictures
pictures: ## Take the pictures of the dashboard in docs/images again (needs chromium)
	cd e2e && go test -count=1 -run TestPictures ./browser -update

.PHONY: clean
clean: ## Remove what make build made
	rm -rf bin
