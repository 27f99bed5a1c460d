#!/bin/sh
# Copyright The shardctl Authors.
# SPDX-License-Identifier: Apache-2.0

# What must run in one Pod only. This one says so every second.
trap 'echo "$(date -u +%FT%TZ) $(hostname) stops"; exit 0' TERM
while :; do
	echo "$(date -u +%FT%TZ) $(hostname) is $SHARDCTL_ROLE in epoch $SHARDCTL_EPOCH"
	sleep 1 &
	wait $!
done
