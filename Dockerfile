# Copyright The shardctl Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds the images from source:
#
#   docker build --build-arg VERSION=v1.2.3 -t shardctl:v1.2.3 .
#   docker build --target example-hook -t shardctl-example-hook:v1.2.3 .
#
# Where no image of Go can be pulled, `make image` compiles with the Go that is there: see Dockerfile.prebuilt, which has the
# same last stages.
#
# An image has one static program, no shell, and no user but a number. There are no CA certificates either, since the cluster's
# own authority is mounted into every Pod: for webhooks with https and a public certificate mount a bundle at /etc/ssl/certs.

ARG GO_IMAGE=golang:1.26

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
ENV CGO_ENABLED=0 GOFLAGS=-trimpath
RUN go build -ldflags "-s -w -X github.com/shardctl/shardctl/internal/version.version=${VERSION}" -o /out/shardctl ./cmd/shardctl
RUN go build -ldflags "-s -w" -o /out/example-hook ./examples/decorator/hook

FROM scratch AS example-hook
COPY --from=build /out/example-hook /example-hook
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="shardctl-example-hook" \
      org.opencontainers.image.description="The hook of shardctl's example" \
      org.opencontainers.image.source="https://github.com/shardctl/shardctl" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
ENTRYPOINT ["/example-hook"]

FROM scratch AS shardctl
COPY --from=build /out/shardctl /shardctl
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="shardctl" \
      org.opencontainers.image.description="Sharded leadership for Kubernetes controllers" \
      org.opencontainers.image.source="https://github.com/shardctl/shardctl" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
ENTRYPOINT ["/shardctl"]
