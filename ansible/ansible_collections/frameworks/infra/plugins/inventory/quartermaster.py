"""The fleet as Quartermaster knows it, as an Ansible inventory."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

DOCUMENTATION = r"""
name: quartermaster
short_description: The fleet as Quartermaster knows it
description:
  - Reads C(GET /v1/inventory) once. Groups are all, C(tier_*), C(region_*), C(cluster_*) and C(service_*),
    with hyphens in names turned into underscores.
  - Not needed for C(frameworks apply), which brings its own inventory; for playbooks of your own.
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
author: FrameWorks (@frameworks)
"""

EXAMPLES = r"""
# fleet.quartermaster.yml
plugin: frameworks.infra.quartermaster
url: http://127.0.0.1:18002
token_file: ~/.config/frameworks/token
"""


class InventoryModule(BaseInventoryPlugin):
    """Fills Ansible's inventory from the server's answer."""

    NAME = "frameworks.infra.quartermaster"

    def verify_file(self, path: str) -> bool:
        """Only files that are named as ours."""
        return super().verify_file(path) and path.endswith(("quartermaster.yml", "quartermaster.yaml"))

    def parse(self, inventory, loader, path, cache=True) -> None:
        """Reads hosts, groups and variables."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        answer = self.fetch()
        tree = answer.get("inventory", answer)
        variables = tree.get("_meta", {}).get("hostvars", {})
        for group, content in tree.items():
            if group == "_meta":
                continue
            if group != "all":
                inventory.add_group(group)
            for host in content.get("hosts", []):
                inventory.add_host(host, group=None if group == "all" else group)
        for host, values in variables.items():
            inventory.add_host(host)
            for name, value in values.items():
                inventory.set_variable(host, name, value)

    def fetch(self) -> dict:
        """Asks the server."""
        url = self.get_option("url").rstrip("/") + "/v1/inventory"
        request = urllib.request.Request(url)
        if self.get_option("token_file"):
            token = Path(self.get_option("token_file")).expanduser().read_text(encoding="utf-8").strip()
            request.add_header("Authorization", f"Bearer {token}")
        context = None
        if url.startswith("https:"):
            context = ssl.create_default_context(cafile=self.get_option("ca_file"))
        try:
            with urllib.request.urlopen(request, timeout=self.get_option("timeout"), context=context) as answer:
                return json.load(answer)
        except (OSError, urllib.error.HTTPError, ValueError) as error:
            raise AnsibleParserError(f"{url}: {error}") from error
