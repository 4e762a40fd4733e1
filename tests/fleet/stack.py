"""A running installation, as its users see it: the command line, REST, and machines to stand on."""
import json
import os
import signal
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("FRAMEWORKS_BIN", os.path.join(ROOT, "build/release/bin"))


class Failed(Exception):
    """An expectation did not hold; the text says what was expected and what was seen."""


def expect(condition, message):
    if not condition:
        raise Failed(message)


def run(command, timeout=60, check=True, **options):
    """Runs a command to its end; on failure the text is its output's end."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, **options)
    if check and done.returncode != 0:
        tail = (done.stdout + done.stderr).strip()[-1500:]
        raise Failed(f"{' '.join(command)}: exit code {done.returncode}: {tail}")
    return done


def eventually(what, condition, limit, interval=0.1):
    """Waits until `condition()` is true; returns the seconds it took."""
    begin = time.monotonic()
    while True:
        if condition():
            return time.monotonic() - begin
        if time.monotonic() - begin > limit:
            raise Failed(f"{what}: not within {limit} s")
        time.sleep(interval)


class Stack:
    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.options = ["--name", name, "--dir", folder]

    def stack(self, verb, *words, **options):
        return run([os.path.join(ROOT, "tools/stack"), verb, *self.options, *words], **options)

    def frameworks(self, *words, **options):
        """The command line, where the server runs."""
        return run([os.path.join(ROOT, "tools/stack"), "exec", *self.options,
                    os.path.join(BIN, "frameworks"), *words], **options)

    def json(self, *words):
        return json.loads(self.frameworks(*words).stdout)

    def resources(self, kind):
        return {item["metadata"]["name"]: item for item in self.json("get", kind, "-o", "json")}

    def health(self, node):
        return self.resources("nodes")[node].get("status", {}).get("health", {}).get("state", "unknown")

    def context(self, tenant):
        return self.json("tenant", "context", tenant, "--json")

    def serving(self, tenant):
        """Names of the nodes that the tenant's context sends programs to."""
        return {endpoint["node"] for endpoint in self.context(tenant).get("endpoints", [])}

    def address(self, node, mesh=False):
        return self.resources("nodes")[node]["spec"]["meshAddress" if mesh else "address"]

    def machine(self, node, *command, **options):
        """Runs a command inside a machine."""
        return run([os.path.join(BIN, "frameworks-hostd"), "--name", self.name,
                    "--state", os.path.join(self.folder, "hostd"), "exec", node, "--", *command], **options)

    def network(self, node, *command):
        """The words that run one of this host's programs on a machine's network."""
        return ["ip", "netns", "exec", f"{self.name}.{node}", *command]

    def fabric(self, *command):
        """The words that run one of this host's programs outside all machines, as the public would."""
        return ["ip", "netns", "exec", self.name, *command]

    def opens(self, where, address, port, timeout=1.0):
        """True when a TCP connection from `where` (words of network() or fabric()) opens."""
        script = (f"import socket,sys\ntry: socket.create_connection(('{address}',{port}),{timeout})\n"
                  "except OSError: sys.exit(1)")
        return run([*where, "/usr/bin/python3", "-c", script], check=False).returncode == 0

    def pid(self, what):
        return int(self.stack("pid", what).stdout or 0)

    def kill(self, what):
        """As by kill -9; returns when it is gone."""
        pid = self.pid(what)
        expect(pid > 0, f"{what} does not run")
        os.kill(pid, signal.SIGKILL)
        eventually(f"{what} gone", lambda: self.pid(what) == 0, 10, 0.02)
