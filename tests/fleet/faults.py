"""Faults on real machines: each gets its own verdict, its own incident, and the incident's end.

Packets are dropped on the machines' own networks, in a table beside the fleet's.
"""
import contextlib
import os
import subprocess
import time

from stack import BIN, ROOT, eventually, expect, run

SERVER = "10.99.0.1"
TABLE = "fault"


def health(stack, node):
    return stack.resources("nodes")[node].get("status", {}).get("health", {})


def incidents(stack, state="open"):
    """(type, object) → incident."""
    found = {}
    for item in stack.resources("incidents").values():
        is_closed = "closeTime" in item.get("status", {})
        if is_closed == (state == "closed"):
            found[(item["spec"]["type"], item["spec"]["object"])] = item
    return found


def calm(stack):
    eventually("all nodes healthy and no incident open", lambda: not incidents(stack) and all(
        node.get("status", {}).get("health", {}).get("state") == "healthy"
        for node in stack.resources("nodes").values()), 240, 0.5)


@contextlib.contextmanager
def dropped(stack, nodes, rule):
    """Drops what the rules (of nft, {dir} stands for saddr or daddr) match, to and from the nodes."""
    text = f"table inet {TABLE} {{\n"
    for chain, direction in (("input", "saddr"), ("output", "daddr")):
        text += (f" chain {chain} {{ type filter hook {chain} priority -200;\n"
                 f"  {rule.format(dir=direction)} drop\n }}\n")
    text += "}\n"
    try:
        for node in nodes:
            done = subprocess.run(stack.network(node, "nft", "-f", "-"), input=text, text=True, capture_output=True)
            expect(done.returncode == 0, f"nft on {node}: {done.stderr}")
        yield
    finally:
        for node in nodes:
            run(stack.network(node, "nft", "delete", "table", "inet", TABLE), check=False)


def opened(stack, kind, thing, limit=30):
    key = (kind, thing)
    eventually(f"incident {kind} of {thing}, open are {list(incidents(stack))}",
               lambda: key in incidents(stack), limit, 0.2)
    others = set(incidents(stack)) - {key}
    expect(not others, f"other incidents opened too: {others}")
    return incidents(stack)[key]


def ended(stack, kind, thing):
    """The incident closes by itself, and so does everything else."""
    calm(stack)
    incident = incidents(stack, "closed")[(kind, thing)]
    lines = [line["message"] for line in incident["status"]["timeline"]]
    expect(lines[0].startswith("opened") and lines[-1].startswith("closed"), f"its timeline is {lines}")
    return len(lines)


def power_cut(stack):
    calm(stack)
    begin = time.monotonic()
    stack.frameworks("node", "power-off", "us-edge-1")
    took = eventually("us-edge-1 down", lambda: health(stack, "us-edge-1").get("state") == "down", 20, 0.05)
    told = time.monotonic() - begin
    opened(stack, "node-down", "Node/us-edge-1")
    stack.frameworks("node", "power-on", "us-edge-1")
    lines = ended(stack, "node-down", "Node/us-edge-1")
    return f"down {told:.1f} s after the command was given (seen after {took:.1f} s); incident of {lines} lines, closed"


def cut_from_server(stack):
    calm(stack)
    with dropped(stack, ["eu-edge-1"], f"ip {{dir}} {SERVER}"):
        eventually("eu-edge-1 partitioned", lambda: health(stack, "eu-edge-1").get("partitioned"), 20)
        seen = health(stack, "eu-edge-1")
        expect(seen["state"] == "suspect", f"its health is {seen}")
        opened(stack, "partition", "Node/eu-edge-1")
        expect("eu-edge-1" in stack.serving("acme"), "it lost its place in the context of acme")
        time.sleep(10)
        expect(health(stack, "eu-edge-1").get("partitioned"), "the verdict did not last")
    lines = ended(stack, "partition", "Node/eu-edge-1")
    return f"suspect, partitioned ({seen['reason']}), keeps its place; incident of {lines} lines, closed"


def stopped_agent(stack):
    calm(stack)
    stack.machine("eu-edge-1", "systemctl", "kill", "-s", "STOP", "frameworks-agent")
    try:
        eventually("the agent of eu-edge-1 is found silent", lambda: health(stack, "eu-edge-1").get(
            "agentSilent"), 20)
        seen = health(stack, "eu-edge-1")
        expect(seen["state"] == "suspect" and not seen.get("partitioned"), f"its health is {seen}")
        opened(stack, "agent-silent", "Node/eu-edge-1")
        expect("eu-edge-1" in stack.serving("acme"), "it lost its place in the context of acme")
    finally:
        stack.machine("eu-edge-1", "systemctl", "kill", "-s", "CONT", "frameworks-agent")
    lines = ended(stack, "agent-silent", "Node/eu-edge-1")
    return f"{seen['reason']}; keeps its place; incident of {lines} lines, closed"


def region_cut_off(stack):
    calm(stack)
    nodes = ["us-regional-1", "us-edge-1"]
    inside = ", ".join(stack.address(node) for node in nodes)
    with dropped(stack, nodes, f"ip {{dir}} != {{{{ {inside}, 127.0.0.0/8, 10.64.0.0/16 }}}}"):
        eventually("both nodes of us-east held", lambda: all(
            health(stack, node).get("held") for node in nodes), 20)
        opened(stack, "mass-loss", "Region/us-east")
        expect("us-edge-1" in stack.serving("acme"), "us-edge-1 lost its place in the context of acme")
    lines = ended(stack, "mass-loss", "Region/us-east")
    return f"one incident of region us-east, its nodes held, nobody removed; {lines} lines, closed"


def two_of_five(stack):
    calm(stack)
    nodes = ["eu-regional-1", "us-edge-1"]
    offs = [subprocess.Popen([*_frameworks(stack), "node", "power-off", node], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for node in nodes]
    for off in offs:
        expect(off.wait(30) == 0, "power-off failed")
    eventually("both held", lambda: all(
        health(stack, node).get("held") for node in nodes), 20)
    opened(stack, "mass-loss", "Fleet/all")
    expect("us-edge-1" in stack.serving("acme"), "us-edge-1 lost its place in the context of acme")
    for node in nodes:
        stack.frameworks("node", "power-on", node)
    lines = ended(stack, "mass-loss", "Fleet/all")
    return f"held, nobody removed; incident of {lines} lines, closed after their return"


def _frameworks(stack):
    return [os.path.join(ROOT, "tools/stack"), "exec", *stack.options, os.path.join(BIN, "frameworks")]


STEPS = [("a machine loses power", power_cut), ("a node is cut off from the server only", cut_from_server),
         ("an agent is stopped", stopped_agent), ("a region's link goes down", region_cut_off),
         ("two of five vanish at once", two_of_five)]
