#!/usr/bin/env python3
# Copyright The shardctl Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs a command while this Pod leads a role. Python 3.8 or later, nothing else.

    leader.py ROLE COMMAND [ARGUMENT...]

It reads the events of the shardctl beside it, at $SHARDCTL_URL. The command is started when the role is granted, with
SHARDCTL_ROLE, SHARDCTL_EPOCH and SHARDCTL_FENCING_TOKEN in its environment. It is ended, by SIGTERM and after
$STOP_SECONDS by SIGKILL, when the role is revoked, and when the stream is cut or silent, for that may mean the same. At the
latest it is killed, with all processes that it has started, before the term's validity is over: so no other replica's
command runs at the same time, even if the shardctl here is stopped. If the command ends by itself, the role is given up.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse

URL = urllib.parse.urlsplit(os.environ.get("SHARDCTL_URL", "http://127.0.0.1:4040"))
STOP_SECONDS = float(os.environ.get("STOP_SECONDS", "3"))
SILENCE_SECONDS = 3.0  # there is a heartbeat every second
RECONNECT_SECONDS = 1.0
MARGIN_SECONDS = 0.5  # for the kernel to end the processes that are killed


def uptime():
    """The clock of validUntilUptimeSeconds: it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def say(*words):
    print(time.strftime("%FT%TZ", time.gmtime()), *words, file=sys.stderr, flush=True)


def request(method, path, headers=None):
    connection = http.client.HTTPConnection(URL.hostname, URL.port or 80, timeout=SILENCE_SECONDS)
    connection.request(method, path, headers=headers or {})
    return connection, connection.sock, connection.getresponse()


def post(path):
    try:
        connection, _, response = request("POST", path)
        say("POST", path, response.status, response.read().decode().strip())
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        say("POST", path, error)


class Job:
    """The command, in a term of the role."""

    def __init__(self, role, command, message):
        self.role, self.epoch = role, message["epoch"]
        self.until = message["validUntilUptimeSeconds"]
        term = {"SHARDCTL_ROLE": role, "SHARDCTL_EPOCH": str(self.epoch), "SHARDCTL_FENCING_TOKEN": message["token"]}
        say(role, "granted, epoch", self.epoch)
        self.process = subprocess.Popen(command, env={**os.environ, **term}, start_new_session=True)

    def extend(self, message):
        self.until = message["validUntilUptimeSeconds"]

    def remaining(self):
        """For how long the command may still run."""
        return self.until - MARGIN_SECONDS - uptime()

    def ended(self):
        return self.process.poll() is not None

    def stop(self):
        """Returns when nothing of the command runs."""
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(max(0, min(STOP_SECONDS, self.remaining())))
        except subprocess.TimeoutExpired:
            pass
        self.signal(signal.SIGKILL)  # what it has left behind, too
        self.process.wait()
        say(self.role, "stopped, epoch", self.epoch)
        # It is refused if nothing was revoked, as after a cut. Then there is nothing to hand over.
        post(f"/roles/{self.role}/stopped?epoch={self.epoch}")

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


class Client:
    def __init__(self, role, command):
        self.role, self.command = role, command
        self.job = None
        self.last = ""  # ID of the last event
        self.waiting = self.ending = False

    def run(self):
        signal.signal(signal.SIGTERM, self.terminate)
        try:
            while True:
                try:
                    self.follow()
                except (OSError, http.client.HTTPException) as error:
                    say(self.role, "the stream is broken:", error)
                self.stop()
                self.wait(lambda: time.sleep(RECONNECT_SECONDS))
        finally:
            self.stop()

    def terminate(self, *_):
        """Ends the client where it waits: never while a command is started or stopped."""
        self.ending = True
        if self.waiting:
            sys.exit(0)

    def wait(self, something):
        self.waiting = True
        try:
            if self.ending:
                sys.exit(0)
            return something()
        finally:
            self.waiting = False

    def follow(self):
        """Reads events until the stream ends, or is silent."""
        path = "/events?role=" + urllib.parse.quote(self.role)
        connection, sock, response = request("GET", path, {"Last-Event-ID": self.last} if self.last else None)
        try:
            if response.status != 200:
                raise http.client.HTTPException(f"{response.status} {response.read().decode().strip()}")
            event = {}
            while True:
                sock.settimeout(max(0.001, min(SILENCE_SECONDS, self.job.remaining() if self.job else SILENCE_SECONDS)))
                line = self.wait(response.readline)
                if not line.endswith(b"\n"):
                    raise http.client.IncompleteRead(line)
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if line != b"\n":
                    event[field] = value
                    continue
                self.act(event.get("event"), json.loads(event.get("data", "null")))
                self.last = event.get("id", self.last)
                event = {}
        finally:
            connection.close()

    def act(self, name, data):
        if name == "snapshot":
            self.lead(data["roles"][0])
        elif name == "granted":
            self.lead(data)
        elif name == "revoked" and self.job:
            self.stop()
        elif name == "revoked":  # the command has ended already
            post(f"/roles/{self.role}/stopped?epoch={data['epoch']}")
        elif name == "valid" and self.job and data["roles"][0]["epoch"] == self.job.epoch:
            self.job.extend(data["roles"][0])
        if self.job and self.job.ended():
            say(self.role, "the command has ended with", self.job.process.returncode)
            post(f"/roles/{self.role}/yield?backoff=30s")
            self.stop()

    def lead(self, message):
        """Has the command run if, and only if, the message says that this Pod leads."""
        if self.job and message["leading"] and message["epoch"] == self.job.epoch:
            self.job.extend(message)
            return
        self.stop()
        if not message["leading"]:
            return
        try:
            self.job = Job(self.role, self.command, message)
        except OSError as error:
            say(self.role, "the command cannot be started:", error)
            post(f"/roles/{self.role}/yield?backoff=30s")

    def stop(self):
        if self.job:
            self.job.stop()
            self.job = None


def main():
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} ROLE COMMAND [ARGUMENT...]")
    Client(sys.argv[1], sys.argv[2:]).run()


if __name__ == "__main__":
    main()
