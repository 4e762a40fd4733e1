#!/usr/bin/python
"""Services of ours that are no longer wanted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sweep
short_description: Stop services that an earlier run brought up and that are no longer wanted
description:
  - A unit is ours when it has the drop-in C(50-frameworks.conf). Units of ours that are not in I(keep) are
    stopped and masked, and lose the drop-in. Packages and data stay.
options:
  keep:
    description: Units that are wanted, with C(.service).
    type: list
    elements: str
    required: true
author: FrameWorks (@frameworks)
"""

EXAMPLES = r"""
- name: Stop what is no longer wanted
  frameworks.infra.sweep:
    keep: [frameworks-agent.service, redis-server.service]
"""

RETURN = r"""
units:
  description: What was stopped.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

UNITS = Path("/etc/systemd/system")
DROP_IN = "50-frameworks.conf"


def stop(module: AnsibleModule, unit: str) -> None:
    """Stops one unit for good, and gives it back."""
    # Masked, not only disabled: some units (postgresql@) are started by others.
    code, _out, err = module.run_command(["systemctl", "mask", "--now", unit])
    if code != 0:
        module.fail_json(msg=f"systemctl mask --now {unit}: {err.strip()}")
    folder = UNITS / f"{unit}.d"
    (folder / DROP_IN).unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"keep": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    ours = {path.parent.name.removesuffix(".d") for path in UNITS.glob(f"*.service.d/{DROP_IN}")}
    unwanted = sorted(ours - set(module.params["keep"]))
    for unit in unwanted:
        if not module.check_mode:
            stop(module, unit)
    module.exit_json(changed=bool(unwanted), units=unwanted)


if __name__ == "__main__":
    main()
