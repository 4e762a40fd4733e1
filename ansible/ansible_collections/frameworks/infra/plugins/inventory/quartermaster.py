"""The fleet as Quartermaster knows it, as an Ansible inventory."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable

DOCUMENTATION = r"""
name: quartermaster
short_description: The fleet as Quartermaster knows it
description:
  - Reads C(GET /v1/inventory/ansible) once. Groups are all, C(tier_*), C(region_*), C(cluster_*) and C(service_*),
    with hyphens in names turned into underscores. Every host has the variable C(frameworks_revision), the
    revision of the fleet that the inventory is of.
  - Nodes are there in every state, also drained ones and those that are down; I(states) chooses.
  - Not needed for C(frameworks apply), which brings its own inventory; for playbooks of your own.
extends_documentation_fragment: [inventory_cache]
options:
  plugin:
    description: Must be C(frameworks.infra.quartermaster).
    required: true
    choices: [frameworks.infra.quartermaster]
  url:
    description: Where the server's REST API is.
    default: http://127.0.0.1:18002
    env: [{name: FRAMEWORKS_URL}]
  token_file:
    description: A file that holds the operator's token.
    type: path
    env: [{name: FRAMEWORKS_TOKEN_FILE}]
  ca_file:
    description: PEM of the CA that signs the server's certificate, for an https URL.
    type: path
    env: [{name: FRAMEWORKS_CA_FILE}]
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 30
  tiers:
    description: Only nodes of these tiers.
    type: list
    elements: str
    default: []
  regions:
    description: Only nodes of these regions.
    type: list
    elements: str
    default: []
  clusters:
    description: Only nodes of these clusters.
    type: list
    elements: str
    default: []
  services:
    description: Only nodes that run one of these services.
    type: list
    elements: str
    default: []
  tenants:
    description: Only nodes of clusters that one of these tenants may use.
    type: list
    elements: str
    default: []
  states:
    description: Only nodes in these states of health (unknown, healthy, degraded, suspect, down).
    type: list
    elements: str
    default: []
author: FrameWorks (@frameworks)
"""

EXAMPLES = r"""
# fleet.quartermaster.yml
plugin: frameworks.infra.quartermaster
url: http://127.0.0.1:18002
token_file: ~/.config/frameworks/token
tiers: [edge]
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/frameworks-inventory
cache_timeout: 60
"""

FILTERS = ("tiers", "regions", "clusters", "services", "tenants", "states")


class InventoryModule(BaseInventoryPlugin, Cacheable):
    """Fills Ansible's inventory from the server's answer."""

    NAME = "frameworks.infra.quartermaster"

    def verify_file(self, path: str) -> bool:
        """Only files that are named as ours."""
        return super().verify_file(path) and path.endswith(("quartermaster.yml", "quartermaster.yaml"))

    def parse(self, inventory, loader, path, cache=True) -> None:
        """Reads hosts, groups and variables."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        tree = self.cached(path, cache)
        for group, content in tree.items():
            if group == "_meta":
                continue
            if group != "all":
                inventory.add_group(group)
            for host in content.get("hosts", []):
                inventory.add_host(host, group=None if group == "all" else group)
            for name, value in content.get("vars", {}).items():
                inventory.set_variable(group, name, value)
        for host, values in tree.get("_meta", {}).get("hostvars", {}).items():
            inventory.add_host(host)
            for name, value in values.items():
                inventory.set_variable(host, name, value)

    def cached(self, path: str, cache: bool) -> dict:
        """The server's answer, or that of an earlier run while it is good."""
        wanted = bool(self.get_option("cache"))
        # Another server or filter is another inventory.
        key = self.get_cache_key(f"{path}?{self.address()}")
        if wanted and cache:
            try:
                return self._cache[key]
            except KeyError:
                pass
        tree = self.fetch()
        if wanted:
            self._cache[key] = tree
        return tree

    def address(self) -> str:
        """What is asked, with the filters."""
        query = [(f"filter.{name}", value) for name in FILTERS for value in self.get_option(name)]
        url = self.get_option("url").rstrip("/") + "/v1/inventory/ansible"
        return f"{url}?{urllib.parse.urlencode(query)}" if query else url

    def fetch(self) -> dict:
        """Asks the server."""
        url = self.address()
        request = urllib.request.Request(url, headers={"Accept": "application/json"})
        if self.get_option("token_file"):
            token = Path(self.get_option("token_file")).expanduser().read_text(encoding="utf-8").strip()
            request.add_header("Authorization", f"Bearer {token}")
        context = None
        if url.startswith("https:"):
            context = ssl.create_default_context(cafile=self.get_option("ca_file"))
        try:
            with urllib.request.urlopen(request, timeout=self.get_option("timeout"), context=context) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AnsibleParserError(f"{url}: {error}: {self.reason(error)}") from error
        except (OSError, ValueError) as error:
            raise AnsibleParserError(f"{url}: {error}") from error

    @staticmethod
    def reason(error: urllib.error.HTTPError) -> str:
        """What the server says is wrong."""
        try:
            problem = json.load(error)
            told = [violation.get("message", "") for violation in problem.get("violations", [])]
            return "; ".join(told) or problem.get("detail", "")
        except ValueError:
            return "no reason given"
