"""Which packages a list of services needs."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: packages
short_description: The packages that the roles of some services need
description:
  - Reads C(<role>_packages) from the defaults of each service's role, so that a play can install
    the packages of all roles in one transaction.
  - A service's version applies to the first package of its role.
positional: services
options:
  services:
    description: Services as in C(frameworks_services); each names its C(role) and may name a C(version).
    type: list
    elements: dict
    required: true
author: FrameWorks
"""

EXAMPLES = r"""
wanted: "{{ frameworks_services | frameworks.infra.packages }}"
"""

RETURN = r"""
_value:
  description: Package names, some with C(=version), sorted.
  type: list
  elements: str
"""

ROLES = Path(__file__).parents[2] / "roles"


def packages(services: list, roles: Path = ROLES) -> list:
    """Returns the packages of the roles of `services`, each once."""
    wanted: dict = {}
    for service in services:
        role = service["role"]
        defaults = roles / role / "defaults" / "main.yml"
        if not defaults.is_file():
            raise AnsibleFilterError(
                f'service "{service.get("name", role)}": role "{role}" is not in the collection frameworks.infra'
            )
        names = yaml.safe_load(defaults.read_text(encoding="utf-8")).get(f"{role}_packages", [])
        for index, name in enumerate(names):
            version = service.get("version", "") if index == 0 else ""
            if version or name not in wanted:
                wanted[name] = version
    return sorted(f"{name}={version}*" if version else name for name, version in wanted.items())


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict:
        """Names and functions."""
        return {"packages": packages}
