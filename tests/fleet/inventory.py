"""Debian's own tools read the inventory of real machines, and do with it what it is for."""
import json
import os
import shutil
import subprocess
import sys

from stack import BIN, ROOT, eventually, expect, run

sys.path.insert(0, os.path.join(ROOT, "tests"))
from prometheus import Prometheus  # noqa: E402

RELAY = os.path.join(ROOT, "tests/fleet/relay.py")


def ansible_inventory(stack, folder, source):
    """What ansible-inventory makes of it, where the server runs."""
    config = os.path.join(folder, "ansible.cfg")
    with open(config, "w") as file:
        file.write("[inventory]\nenable_plugins = script, frameworks.infra.quartermaster\n")
    done = run([os.path.join(ROOT, "tools/stack"), "exec", *stack.options, "env", f"ANSIBLE_CONFIG={config}",
                f"ANSIBLE_COLLECTIONS_PATH={os.path.join(ROOT, 'ansible')}", f"HOME={folder}",
                "ansible-inventory", "-i", source, "--list"], timeout=120)
    return json.loads(done.stdout)


def read_by_ansible(stack, folder):
    script = os.path.join(folder, "fleet.sh")
    with open(script, "w") as file:
        file.write(f"#!/bin/sh\nexec {BIN}/frameworks inventory \"$@\"\n")
    os.chmod(script, 0o755)
    plugin = os.path.join(folder, "fleet.quartermaster.yml")
    with open(plugin, "w") as file:
        json.dump({"plugin": "frameworks.infra.quartermaster", "url": "http://127.0.0.1:18002",
                   "token_file": os.path.join(stack.folder, "server/admin.token")}, file)
    nodes = set(stack.resources("nodes"))
    for source in (script, plugin):
        read = ansible_inventory(stack, folder, source)
        hosts = read["_meta"]["hostvars"]
        expect(set(hosts) == nodes, f"{source}: hosts are {sorted(hosts)}")
        expect(read["tier_edge"]["hosts"] == ["eu-edge-1", "us-edge-1"], f"{source}: tier_edge is {read['tier_edge']}")
    return len(nodes)


def log_in_by_ssh(stack, folder):
    """Every machine's own key is accepted, and another one's is not."""
    config = os.path.join(folder, "fleet.ssh")
    text = stack.frameworks("inventory", "--format", "ssh").stdout
    with open(config, "w") as file:
        file.write(text)

    def ssh(path, node):
        return run(stack.fabric("ssh", "-F", path, "-i", os.path.join(stack.folder, "server/ssh_key"), "-o",
                                "BatchMode=yes", "-o", "ConnectTimeout=10", node, "hostname"), check=False)

    for node in stack.resources("nodes"):
        done = ssh(config, node)
        expect(done.returncode == 0 and done.stdout.strip() == node, f"ssh -F to {node}: {done.stdout}{done.stderr}")
    nodes = stack.resources("nodes")
    key, other = (nodes[name]["status"]["machine"]["sshHostKey"].split()[1] for name in ("core-1", "eu-edge-1"))
    wrong = os.path.join(folder, "wrong.ssh")
    with open(wrong, "w") as file:
        file.write(text.replace(key, other))
    done = ssh(wrong, "core-1")
    expect(done.returncode != 0 and "verification failed" in done.stderr,
           f"ssh accepted another machine's host key: {done.returncode} {done.stderr[-300:]}")


def scrape_by_prometheus(stack, folder):
    """Prometheus where victoria-metrics is, which may read the exporters: targets by HTTP SD, scraped over the mesh."""
    path = os.path.join(folder, "relay")
    relay = subprocess.Popen(stack.fabric(RELAY, "serve", path, "18002"), stdin=subprocess.DEVNULL)
    try:
        eventually("the relay waits", lambda: os.path.exists(path), 10)
        run(stack.network("eu-regional-1", RELAY, "listen", path, "18002"))
        url = "http://127.0.0.1:18002/v1/inventory/prometheus?filter.services=node-exporter"
        token = os.path.join(stack.folder, "server/admin.token")
        with Prometheus(folder, url, token, where=stack.network("eu-regional-1"), port=19090) as prometheus:
            targets = prometheus.wait_for(len(stack.resources("nodes")), True, 60)
            log = prometheus.tail()
    finally:
        relay.terminate()
        relay.wait()
    seen = {target["labels"].get("node"): (target["health"], target["lastError"]) for target in targets}
    expect(set(seen) == set(stack.resources("nodes")), f"targets are {seen}: {log}")
    expect(all(health == "up" for health, _ in seen.values()), f"not scraped: {seen}")
    return len(targets)


def tools_read_the_inventory(stack):
    folder = os.path.join(stack.folder, "inventory")
    os.makedirs(folder)
    try:
        hosts = read_by_ansible(stack, folder)
        log_in_by_ssh(stack, folder)
        targets = scrape_by_prometheus(stack, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    why = stack.frameworks("why", "node/us-edge-1", check=False)
    expect(why.returncode == 0 and "all is well" in why.stdout, f"why node/us-edge-1: {why.stdout}{why.stderr}")
    return (f"ansible-inventory read {hosts} hosts by script and plugin; ssh -F logged in to each and refused a wrong "
            f"host key; Prometheus scraped {targets} exporters by HTTP SD")
