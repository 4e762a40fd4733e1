#!/usr/bin/python
"""A systemd service with its configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service
short_description: Make a systemd service run with the configuration that its files hold
description:
  - Writes the files, enables the unit and makes it run; all in one round trip.
  - The unit is restarted when one of its files is newer than the unit's last start. That is judged by
    what is on the host, not by what this run changed, so that a run that was cut off between
    writing and restarting is made good by the next one. No handler is needed.
extends_documentation_fragment: [frameworks.infra.files]
options:
  unit:
    description: Name of the unit, with C(.service).
    type: str
    required: true
  watch:
    description: Further files whose change asks for a restart; they need not exist.
    type: list
    elements: path
    default: []
  packages:
    description: Debian packages of the service; the unit is restarted when one was unpacked after its last start.
    type: list
    elements: str
    default: []
author: FrameWorks (@frameworks)
"""

EXAMPLES = r"""
- name: Run
  frameworks.infra.service:
    unit: example.service
    files:
      - path: /etc/example.conf
        content: "{{ lookup('ansible.builtin.template', 'example.conf.j2') }}"
"""

RETURN = r"""
paths:
  description: Files and directories that were changed.
  returned: always
  type: list
  elements: str
actions:
  description: What was asked of systemd, of C(unmask), C(daemon-reload), C(enable), C(start) and C(restart).
  returned: always
  type: list
  elements: str
"""

import datetime
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frameworks.infra.plugins.module_utils import files

PROPERTIES = "LoadState,ActiveState,UnitFileState,NeedDaemonReload,DropInPaths,InactiveExitTimestamp"
UNITS = "/etc/systemd/system/"
DPKG = "/var/lib/dpkg/info"


class Unit:
    """One unit of systemd."""

    def __init__(self, module: AnsibleModule, name: str) -> None:
        self.module = module
        self.name = name
        self.actions: list[str] = []

    def systemctl(self, *arguments: str) -> str:
        """Runs systemctl; a failure ends the module and says why the unit did not start."""
        code, out, err = self.module.run_command(["systemctl", *arguments])
        if code != 0:
            log = self.module.run_command(["journalctl", "-u", self.name, "-n", "5", "-o", "cat", "--no-pager"])[1]
            reason = f"systemctl {' '.join(arguments)}: {err.strip()}"
            self.module.fail_json(msg=reason, stderr=log, actions=self.actions)
        return out

    def act(self, *arguments: str) -> None:
        """Changes something, unless in check mode."""
        self.actions.append(arguments[0])
        if not self.module.check_mode:
            self.systemctl(*arguments)

    def show(self) -> dict[str, str]:
        """What systemd knows of it now."""
        out = self.systemctl("show", "--timestamp=us+utc", f"--property={PROPERTIES}", self.name)
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def ensure(self, paths: list[str]) -> None:
        """Makes it enabled and running, started after the last change of `paths`."""
        state = self.show()
        if state["LoadState"] == "masked":  # by an earlier sweep
            self.act("unmask", self.name)
            state = self.show()
        if needs_reload(state, paths):
            self.act("daemon-reload")
            state = self.show()
        if state["UnitFileState"] == "disabled":
            self.act("enable", self.name)
        if state["ActiveState"] != "active":
            self.act("start", self.name)
        elif newest_change(paths) > started(state["InactiveExitTimestamp"]):
            self.act("restart", self.name)


def needs_reload(state: dict[str, str], paths: list[str]) -> bool:
    """Whether systemd has yet to read the unit's files."""
    if state["NeedDaemonReload"] == "yes" or state["LoadState"] == "not-found":
        return True
    # systemd does not notice a drop-in by itself when its folder is new as well.
    return not {path for path in paths if path.startswith(UNITS)} <= set(state["DropInPaths"].split())


def started(timestamp: str) -> float:
    """Seconds since the epoch of systemd's "Mon 2026-01-31 12:00:00.123456 UTC"; 0: never."""
    if not timestamp:
        return 0.0
    time = datetime.datetime.strptime(timestamp, "%a %Y-%m-%d %H:%M:%S.%f UTC")
    return time.replace(tzinfo=datetime.timezone.utc).timestamp()


def newest_change(paths: list[str]) -> float:
    """When the content of the newest of the files was written; missing ones do not count."""
    return max((os.stat(path).st_mtime for path in paths if os.path.exists(path)), default=0.0)


def main() -> None:
    """Entry point."""
    arguments = dict(
        files.ARGUMENTS,
        unit={"type": "str", "required": True},
        watch={"type": "list", "elements": "path", "default": []},
        packages={"type": "list", "elements": "str", "default": []},
    )
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    module.run_command_environ_update = {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
    unit = Unit(module, module.params["unit"])
    try:
        result = files.ensure(module)
        # dpkg writes a package's list of files when it unpacks it, and at no other time.
        lists = [f"{DPKG}/{package}.list" for package in module.params["packages"]]
        unit.ensure([file["path"] for file in module.params["files"]] + module.params["watch"] + lists)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    module.exit_json(changed=bool(result["paths"] or unit.actions), actions=unit.actions, **result)


if __name__ == "__main__":
    main()
