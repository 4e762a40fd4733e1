#!/usr/bin/python
"""In which versions packages are installed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: versions
short_description: Say in which versions packages are to be installed, so that a version can be taken back
description:
  - A package with a version gets that one. What the host had before by itself is noted.
  - A package without a version stays as it is; but when an earlier run gave it one, it goes back to what was noted.
  - Installs nothing; its answer is for C(ansible.builtin.apt) with I(allow_downgrade).
options:
  packages:
    description: Packages, as C(name) or C(name=version); a version may end in C(*).
    type: list
    elements: str
    required: true
  notes:
    description: Where it is noted.
    type: path
    default: /var/lib/frameworks/packages.json
author: FrameWorks (@frameworks)
"""

EXAMPLES = r"""
- name: Choose versions
  frameworks.infra.versions:
    packages: [redis-server, nginx=1.22*]
  register: chosen
"""

RETURN = r"""
packages:
  description: The same packages, each as it is to be installed.
  returned: always
  type: list
  elements: str
"""

import json
import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def installed(module: AnsibleModule, name: str) -> str:
    """The version that is on the host; empty: none."""
    code, out, _err = module.run_command(["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name])
    state, _, version = out.partition(" ")
    return version if code == 0 and state == "installed" else ""


def choose(module: AnsibleModule, wanted: list[str], notes: dict[str, str]) -> list[str]:
    """Each package as it is to be installed; keeps the notes."""
    chosen = []
    for package in wanted:
        name, _, version = package.partition("=")
        if version:
            # Empty: it was not there, and going back means whatever the archive has.
            notes.setdefault(name, installed(module, name))
        elif name in notes:
            own = notes[name]
            if own and installed(module, name) != own:
                package = f"{name}={own}"
            else:
                del notes[name]
        chosen.append(package)
    return chosen


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "required": True},
            "notes": {"type": "path", "default": "/var/lib/frameworks/packages.json"},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["notes"])
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        notes = dict(before)
        chosen = choose(module, module.params["packages"], notes)
        changed = notes != before
        if changed and not module.check_mode:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(notes, sort_keys=True) + "\n", encoding="utf-8")
            os.replace(fresh, path)
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"{path}: {error}")
    module.exit_json(changed=changed, packages=chosen)


if __name__ == "__main__":
    main()
