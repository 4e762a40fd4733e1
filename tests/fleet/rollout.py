"""New versions of the media server go out over real machines, and edges are drained under real streams.

A version is a Debian package of nginx: the archive's own, packed again with another version by the
test and served from the machines' network. The broken one runs and answers its health check with 503.
"""
import contextlib
import glob
import os
import re
import shutil
import subprocess
import time

from media import Publisher, accepted, play
from stack import ROOT, eventually, expect, run

EDGES = ["eu-edge-1", "us-edge-1"]
PORT = 8999
WRAPPER = """#!/bin/sh
sed 's/return 200/return 503/' /etc/nginx/nginx.conf >/run/nginx-broken.conf
exec /usr/sbin/nginx.whole -c /run/nginx-broken.conf "$@"
"""


def rtmp(stack, node, stream):
    return f"rtmp://{stack.address(node)}:1935/live/acme+{stream}"


class Archive:
    """Packages of nginx in versions of the test's own, while the `with` block lasts."""

    def __init__(self, stack):
        self.stack = stack
        self.folder = os.path.join(stack.folder, "archive")
        repository = run([os.path.join(ROOT, "tools/base-image"), "--print", "repository"]).stdout.strip()
        self.original = sorted(glob.glob(os.path.join(repository, "nginx_*.deb")))[-1]
        self.base = run(["dpkg-deb", "-f", self.original, "Version"]).stdout.strip()
        self.whole, self.broken = f"{self.base}+fleet1", f"{self.base}+fleet2"

    def pack(self, version, wrapper=None):
        tree = os.path.join(self.folder, "tree")
        shutil.rmtree(tree, ignore_errors=True)
        run(["dpkg-deb", "-R", self.original, tree])
        control = os.path.join(tree, "DEBIAN/control")
        with open(control) as file:
            text = re.sub(r"(?m)^Version: .*$", f"Version: {version}", file.read())
        with open(control, "w") as file:
            file.write(text)
        if wrapper:
            program = os.path.join(tree, "usr/sbin/nginx")
            os.rename(program, program + ".whole")
            with open(program, "w") as file:
                file.write(wrapper)
            os.chmod(program, 0o755)
        run(["dpkg-deb", "-b", "--root-owner-group", "-Zgzip", "-z1", tree, self.folder])
        shutil.rmtree(tree)

    def __enter__(self):
        os.makedirs(self.folder, exist_ok=True)
        self.pack(self.whole)
        self.pack(self.broken, WRAPPER)
        index = run(["dpkg-scanpackages", "-m", "."], cwd=self.folder).stdout
        with open(os.path.join(self.folder, "Packages"), "w") as file:
            file.write(index)
        self.server = subprocess.Popen(
            self.stack.fabric("/usr/bin/python3", "-m", "http.server", str(PORT), "--bind", "10.99.0.1",
                              "--directory", self.folder),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for node in EDGES:
            self.stack.machine(node, "sh", "-c", f"echo 'deb [trusted=yes] http://10.99.0.1:{PORT} ./' "
                                                 ">/etc/apt/sources.list.d/fleet-test.list")
        return self

    def __exit__(self, *_):
        for node in EDGES:
            with contextlib.suppress(Exception):
                self.stack.machine(node, "rm", "-f", "/etc/apt/sources.list.d/fleet-test.list")
        self.server.terminate()
        self.server.wait(10)


def installed(stack, node):
    return stack.machine(node, "dpkg-query", "-W", "-f", "${Version}", "nginx").stdout.strip()


def pid(stack, node):
    return stack.machine(node, "systemctl", "show", "-P", "MainPID", "nginx").stdout.strip()


def newest(stack):
    rollouts = stack.json("rollout", "list", "media", "--json")
    return rollouts[-1]


def start(stack, version, *options):
    return stack.frameworks("rollout", "start", "media", "--version", version, "--gate", "4s", "--patience",
                            "20s", *options, "--wait", check=False, timeout=400)


def new_version(stack, archive):
    """The canary edge, its gate, the other region; each configured by an operation for itself alone."""
    expect(installed(stack, "us-edge-1") == archive.base, "the edges are not at the archive's version beforehand")
    plan = stack.json("rollout", "start", "media", "--version", archive.whole, "--dry-run", "--json")["plan"]
    expect(len(plan["steps"]) == 2 and "canary" in plan["steps"][0]["summary"], f"the plan is {plan}")
    begin = time.monotonic()
    done = start(stack, archive.whole)
    took = time.monotonic() - begin
    expect(done.returncode == 0, f"exit code {done.returncode}: {(done.stdout + done.stderr)[-900:]}")
    batches = newest(stack)["status"]["batches"]
    expect([batch["nodes"] for batch in batches] == [["eu-edge-1"], ["us-edge-1"]], f"batches: {batches}")
    operations = stack.resources("operations")
    for batch in batches:
        expect(operations[batch["operation"]]["spec"]["nodes"] == batch["nodes"],
               f"{batch['operation']} configured other nodes than {batch['nodes']}")
    for node in EDGES:
        expect(installed(stack, node) == archive.whole, f"{node} has nginx {installed(stack, node)}")
    expect(stack.resources("services")["media"]["spec"]["version"] == archive.whole, "the service has another version")
    return f"nginx {archive.whole}: canary eu-edge-1, then us-edge-1, {took:.0f} s", {"rollout_s": took}


def broken_version(stack, archive):
    """Stops at the canary, goes back by itself, and nobody at the other edge notices."""
    before = pid(stack, "us-edge-1")
    with Publisher(stack.fabric(), rtmp(stack, "us-edge-1", "steady"), 300) as publisher:
        done = start(stack, archive.broken)
        text = done.stdout + done.stderr
        expect(done.returncode == 4, f"exit code {done.returncode}: {text[-900:]}")
        status = newest(stack)["status"]
        expect(status["state"] == "rolled-back", f"the rollout: {status}")
        expect("503" in status["message"], f"it does not say why: {status['message']}")
        expect(installed(stack, "eu-edge-1") == archive.whole, f"eu-edge-1 has nginx {installed(stack, 'eu-edge-1')}")
        expect(publisher.process.poll() is None, "the stream at us-edge-1 was cut off")
        play(stack.network("us-regional-1"),
             f"http://{stack.address('us-edge-1', mesh=True)}:8080/hls/acme+steady.m3u8")
    expect(pid(stack, "us-edge-1") == before, "nginx on us-edge-1 was started anew")
    eventually("eu-edge-1 serves again", lambda: "eu-edge-1" in stack.serving("acme"), 20)
    expect(accepted(stack.fabric(), rtmp(stack, "eu-edge-1", "back")), "eu-edge-1 takes no stream after going back")
    return f"{archive.broken}: rolled back by itself ({status['message']}); a stream at us-edge-1 went on"


def version_that_does_not_exist(stack, archive):
    done = start(stack, "9.9")
    status = newest(stack)["status"]
    expect(done.returncode == 4 and status["state"] == "rolled-back", f"exit code {done.returncode}, {status}")
    expect("9.9" in status["message"], f"it does not say why: {status['message']}")
    for node in EDGES:
        expect(installed(stack, node) == archive.whole, f"{node} has nginx {installed(stack, node)}")
    return f"9.9: {status['message'][:160]}"


def back_to_the_distribution(stack, archive):
    done = start(stack, "")
    expect(done.returncode == 0, f"exit code {done.returncode}: {(done.stdout + done.stderr)[-900:]}")
    for node in EDGES:
        expect(installed(stack, node) == archive.base, f"{node} has nginx {installed(stack, node)}")
    return f"both edges have {archive.base} again"


def viewer_too_many(stack):
    """At a tenant's limit of viewers another one gets no playlist, and those who watch go on."""
    node = "us-edge-1"
    url = f"http://{stack.address(node, mesh=True)}:8080/hls/acme+watched.m3u8"

    def watches(viewer):
        done = run([*stack.network("us-regional-1"), "curl", "-s", "-m", "2", "-A", viewer, "-o", "/dev/null",
                    "-w", "%{http_code}", url], check=False)
        return done.stdout

    with Publisher(stack.fabric(), rtmp(stack, node, "watched"), 120):
        eventually("the first viewer has a playlist", lambda: watches("first") == "200", 20)
        stack.frameworks("tenant", "update", "acme", "--limit", "viewers=1")
        try:
            eventually("a second viewer is refused", lambda: watches(f"second {time.monotonic()}") == "403", 15, 0.5)
            expect(watches("first") == "200", "the first viewer was refused, too")
        finally:
            stack.frameworks("tenant", "update", "acme", "--limit", "viewers=0")
        eventually("a second viewer is let in", lambda: watches(f"second {time.monotonic()}") == "200", 15, 0.5)
        stack.frameworks("tenant", "suspend", "acme")
        try:
            eventually("nobody watches a suspended tenant", lambda: watches("first") == "403", 20, 0.5)
        finally:
            stack.frameworks("tenant", "resume", "acme")
    eventually("the context of acme names the edge", lambda: node in stack.serving("acme"), 20)
    return "one of two viewers was refused a playlist, and both where the tenant is suspended"


def traffic_too_much(stack):
    """Above a tenant's limit of Mbit/s over HLS its viewers get no playlist, and its stream goes on."""
    node = "us-edge-1"
    folder = f"http://{stack.address(node, mesh=True)}:8080/hls/"

    def curl(viewer, *arguments):
        return run([*stack.network("us-regional-1"), "curl", "-s", "-m", "10", "-A", viewer, *arguments], check=False)

    def watch(viewer, times):
        """The playlist's status; where there is one, its newest segment is fetched so often."""
        playlist = curl(viewer, "-w", "%{stderr}%{http_code}", folder + "acme+heavy.m3u8")
        segments = [line for line in playlist.stdout.splitlines() if line.endswith(".ts")]
        if segments:
            curl(viewer, "-o", "/dev/null", f"{folder}{segments[-1]}?[1-{times}]")
        return playlist.stderr

    stack.frameworks("tenant", "update", "acme", "--limit", "bandwidthMbps=2")
    try:
        with Publisher(stack.fabric(), rtmp(stack, node, "heavy"), 120) as publisher:
            eventually("a viewer has a playlist", lambda: watch("steady", 1) == "200", 20)
            # About 0.5 Mbit/s come in and as much goes out: below the limit for longer than it is averaged over.
            for _ in range(15):
                expect(watch("steady", 1) == "200", "a viewer was refused below the limit")
                time.sleep(1)
            begin = time.monotonic()
            eventually("viewers are refused above the limit", lambda: watch("greedy", 20) == "403", 30, 0.5)
            took = time.monotonic() - begin
            expect(publisher.process.poll() is None, "the stream itself was ended")
            eventually("a viewer is let in when it is over", lambda: watch("steady", 1) == "200", 40, 0.5)
            expect(publisher.process.poll() is None, "the stream itself was ended")
    finally:
        stack.frameworks("tenant", "update", "acme", "--limit", "bandwidthMbps=2000")
    return f"viewers over HLS were refused {took:.0f} s after more was fetched than 2 Mbit/s, the stream went on"


def drained(stack, node):
    return stack.resources("nodes")[node].get("status", {}).get("drain", {})


def drain_to_its_end(stack):
    """The session ends by itself, and only then the command does."""
    node = "eu-edge-1"
    with Publisher(stack.fabric(), rtmp(stack, node, "short"), 40) as publisher:
        play(stack.network("eu-regional-1"), f"http://{stack.address(node, mesh=True)}:8080/hls/acme+short.m3u8")
        expect(publisher.process.poll() is None, "the stream ended before the drain")
        begin = time.monotonic()
        draining = subprocess.Popen(
            [os.path.join(ROOT, "tools/stack"), "exec", *stack.options,
             os.path.join(ROOT, "build/release/bin/frameworks"), "drain", node],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        eventually(f"the context of acme without {node}", lambda: node not in stack.serving("acme"), 5, 0.05)
        gone = time.monotonic() - begin
        eventually("the sessions are counted", lambda: int(drained(stack, node).get("sessions", 0)) >= 1, 15)
        expect(publisher.process.poll() is None, "the stream was cut off")
        expect(draining.poll() is None, "the drain ended with a stream running")
        expect(not accepted(stack.fabric(), rtmp(stack, node, "another")), "a new stream began on the drained edge")
        text = draining.communicate(timeout=120)[0]
    expect(draining.returncode == 0, f"exit code {draining.returncode}: {text[-600:]}")
    took = time.monotonic() - begin
    stack.frameworks("resume", node)
    eventually(f"the context of acme with {node}", lambda: node in stack.serving("acme"), 20)
    eventually("streams are taken again", lambda: accepted(stack.fabric(), rtmp(stack, node, "again")), 20)
    return f"out of the context after {gone:.1f} s, quiet after {took:.1f} s, resumed", {"drain_gone_s": gone}


def drain_deadline(stack):
    """At the deadline the session that is left is ended."""
    node = "us-edge-1"
    with Publisher(stack.fabric(), rtmp(stack, node, "long"), 300) as publisher:
        play(stack.network("us-regional-1"), f"http://{stack.address(node, mesh=True)}:8080/hls/acme+long.m3u8")
        stack.frameworks("drain", node, "--deadline", "15s", "--no-wait")
        begin = time.monotonic()
        expect(node not in stack.serving("acme"), f"the context of acme still names {node}")
        eventually("the sessions are counted", lambda: int(drained(stack, node).get("sessions", 0)) >= 1, 12)
        eventually("the deadline", lambda: drained(stack, node).get("state") == "expired", 25)
        expired = drained(stack, node)
        # nginx asks about a running stream each 10 s.
        eventually("the stream is ended", lambda: publisher.process.poll() is not None, 20)
        ended = time.monotonic() - begin
        expect(ended >= 14, f"the stream was ended after {ended:.1f} s, before the deadline")
    eventually("it is quiet", lambda: drained(stack, node).get("state") == "drained", 20)
    stack.frameworks("resume", node)
    eventually(f"the context of acme with {node}", lambda: node in stack.serving("acme"), 20)
    eventually("streams are taken again", lambda: accepted(stack.fabric(), rtmp(stack, node, "again")), 20)
    return f"expired ({expired.get('message')}), stream ended {ended:.1f} s after the drain, quiet, resumed"


def rollouts(stack):
    """Every step of this file, each with its outcome; None where one that others need failed."""
    with Archive(stack) as archive:
        yield "a new version goes out", lambda: new_version(stack, archive)
        yield "a broken version goes back by itself", lambda: broken_version(stack, archive)
        yield "a version that does not exist goes back", lambda: version_that_does_not_exist(stack, archive)
        yield "back to the distribution's version", lambda: back_to_the_distribution(stack, archive)
    yield "a viewer too many gets no playlist", lambda: viewer_too_many(stack)
    yield "a tenant has the Mbit/s of its limit over HLS", lambda: traffic_too_much(stack)
    yield "an edge is drained until its stream has ended", lambda: drain_to_its_end(stack)
    yield "a drain's deadline ends what is left", lambda: drain_deadline(stack)
