#!/usr/bin/python
"""Kernel settings, now and after the next start."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_settings
short_description: Make kernel settings hold, now and after the next start
description:
  - Writes I(path), and each setting that does not hold already. In a container a setting may be its host's to
    make; it is an error only when it neither holds nor can be set.
options:
  settings:
    description: Names as of sysctl(8), and values.
    type: dict
    required: true
  path:
    description: The file that systemd-sysctl reads at the next start.
    type: path
    default: /etc/sysctl.d/50-frameworks.conf
author: FrameWorks (@frameworks)
"""

EXAMPLES = r"""
- name: Let services bind to addresses that come later
  frameworks.infra.kernel_settings:
    settings:
      net.ipv4.ip_nonlocal_bind: 1
"""

RETURN = r"""
paths:
  description: What was changed, of the file and the settings below /proc/sys.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def ensure(module: AnsibleModule, path: Path, wanted: str) -> bool:
    """Makes the file hold the text; True when it did not."""
    if path.exists() and path.read_text(encoding="utf-8").split() == wanted.split():
        return False
    if not module.check_mode:
        path.write_text(wanted, encoding="utf-8")
    return True


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "required": True},
            "path": {"type": "path", "default": "/etc/sysctl.d/50-frameworks.conf"},
        },
        supports_check_mode=True,
    )
    settings = {name: str(value) for name, value in sorted(module.params["settings"].items())}
    wanted = {Path(module.params["path"]): "".join(f"{name} = {value}\n" for name, value in settings.items())}
    for name, value in settings.items():
        wanted[Path("/proc/sys") / name.replace(".", "/")] = f"{value}\n"
    try:
        paths = [str(path) for path, text in wanted.items() if ensure(module, path, text)]
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    module.exit_json(changed=bool(paths), paths=paths)


if __name__ == "__main__":
    main()
