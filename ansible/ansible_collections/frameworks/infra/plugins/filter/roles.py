"""What the roles of a list of services need, read from the roles themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

ROLES = Path(__file__).parents[2] / "roles"


def defaults(service: dict[str, Any]) -> dict[str, Any]:
    """The defaults of a service's role, as written: not templated."""
    role = service["role"]
    path = ROLES / role / "defaults" / "main.yml"
    if not path.is_file():
        raise AnsibleFilterError(
            f'service "{service.get("name", role)}": role "{role}" is not in the collection frameworks.infra'
        )
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def packages(services: list[dict[str, Any]]) -> list[str]:
    """C(<role>_packages) of each service's role; its version applies to the first of them."""
    wanted: dict[str, str] = {}
    for service in services:
        for index, name in enumerate(defaults(service).get(f"{service['role']}_packages", [])):
            version = service.get("version", "") if index == 0 else ""
            if version or name not in wanted:
                wanted[name] = version
    return sorted(f"{name}={version}*" if version else name for name, version in wanted.items())


def units(services: list[dict[str, Any]]) -> list[str]:
    """C(<role>_unit) of each service's role."""
    return sorted({defaults(service)[f"{service['role']}_unit"] for service in services})


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"packages": packages, "units": units}
