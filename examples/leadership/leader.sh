#!/bin/sh
# Copyright The shardctl Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command while this Pod leads a role, with nothing but a POSIX shell and curl:
#
#     leader.sh ROLE COMMAND [ARGUMENT...]
#
# It reads the events of the shardctl beside it, at $SHARDCTL_URL. The command is started when the role is granted,
# with SHARDCTL_ROLE and SHARDCTL_EPOCH in its environment. It is ended, by SIGTERM and after $STOP_SECONDS by SIGKILL,
# when the role is revoked, and when the stream is cut, or silent for 2 to 4 s, for that may mean the same. When it has
# ended, shardctl is told. The default of STOP_SECONDS is 2: so the command has ended within the 6 s for which a term is
# still valid, with the default timings, after a shardctl that is stopped has sent its last word. (leader.py is exact
# about that.)

set -u
if [ $# -lt 2 ]; then
	echo "usage: $0 ROLE COMMAND [ARGUMENT...]" >&2
	exit 2
fi
role=$1
shift
url=${SHARDCTL_URL:-http://127.0.0.1:4040}
stop_seconds=${STOP_SECONDS:-2}

say() { echo "$(date -u +%FT%TZ) $role: $*" >&2; }

# stop ends the command and returns when it has ended.
stop() {
	[ -n "$epoch" ] || return 0
	if [ -n "$job" ]; then
		kill "$job" 2>/dev/null
		(
			sleep "$stop_seconds" &
			trap 'kill $!; exit' TERM
			wait $! && kill -9 "$job"
		) 2>/dev/null &
		killer=$!
		wait "$job"
		kill "$killer" 2>/dev/null
		say "stopped, epoch $epoch"
	fi
	# It is refused if nothing was revoked, as after a cut. Then there is nothing to hand over.
	curl -sS -o "$dir/answer" --max-time 5 -X POST "$url/roles/$role/stopped?epoch=$epoch"
	job='' epoch=''
}

# follow reads events until the stream ends. Whatever runs then is stopped.
follow() {
	job='' epoch='' event='' id='' data=''
	while IFS= read -r line; do
		case $line in
		"event: "*) event=${line#event: } ;;
		"id: "*) id=${line#id: } ;;
		"data: "*) data=${line#data: } ;;
		"") # an event is complete, or a heartbeat, of which there is one every second
			: >"$dir/beat"
			granted=''
			# The stream is of one role, so what is said of a role is said of this one.
			case $event,$data in
			granted,* | snapshot,*'"leading":true'*) granted=$(expr "$data" : '.*"epoch":\([0-9]*\)') ;;
			revoked,*) epoch=$(expr "$data" : '.*"epoch":\([0-9]*\)') ;; # its command may have ended already, after a cut
			esac
			case $event in
			granted | snapshot | revoked) [ "$granted" = "$epoch" ] || stop ;;
			esac
			if [ -n "$granted" ] && [ -z "$job" ]; then
				epoch=$granted
				say "granted, epoch $epoch"
				SHARDCTL_ROLE=$role SHARDCTL_EPOCH=$epoch "$@" &
				job=$!
			fi
			[ -z "$id" ] || echo "$id" >"$dir/last"
			event='' id='' data=''
			;;
		esac
	done
	stop
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
mkfifo "$dir/events" || exit 1
: >"$dir/last"
stream='' watchdog=''
# The end of the stream ends follow, which stops the command first.
trap 'kill $stream $watchdog 2>/dev/null; wait; exit 0' TERM INT
while :; do
	curl -sSN --fail --connect-timeout 2 -H "Last-Event-ID: $(cat "$dir/last")" "$url/events?role=$role" >"$dir/events" &
	stream=$!
	(
		while sleep 2; do
			rm "$dir/beat" 2>/dev/null || break
		done
		kill "$stream" 2>/dev/null
	) &
	watchdog=$!
	follow "$@" <"$dir/events" &
	wait $!
	kill "$stream" "$watchdog" 2>/dev/null
	sleep 1 &
	wait $!
done
