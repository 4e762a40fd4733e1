"""One JSON line an event, for the program that runs the playbook."""

from __future__ import annotations

import json
import os
import signal
import sys

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: events
type: stdout
short_description: One JSON line an event on standard output
description:
  - "Prints C({event: play, name}), C({event: host, host, role, task, result, message}) with I(result) one of
    started, ok, changed, skipped, failed and unreachable, and at the end C({event: stats, hosts})."
  - Arguments and results of tasks are never printed, only the message of a failure, and not even
    that where a task says C(no_log).
author: FrameWorks
"""

# A message is for one line of an operation's progress; the end of an error says what was wrong.
LONGEST_MESSAGE = 600
PREFIX = "frameworks.infra."


def shorten(text: str) -> str:
    """One line, not too long; the end is kept."""
    line = " | ".join(part.strip() for part in text.splitlines() if part.strip())
    return line if len(line) <= LONGEST_MESSAGE else "…" + line[-LONGEST_MESSAGE:]


def failure(result: dict) -> str:
    """What a failed result says in words."""
    if result.get("_ansible_no_log"):
        return "failed; the details are hidden because they may hold secrets"
    for item in result.get("results", []):
        if isinstance(item, dict) and item.get("failed"):
            return failure(item)
    parts = [str(result.get("msg", ""))]
    for stream in ("stderr", "module_stderr", "module_stdout"):
        text = str(result.get(stream, "")).strip()
        if text and text not in parts[0]:
            parts.append(text)
            break
    return shorten("\n".join(parts)) or "failed without a message"


class CallbackModule(CallbackBase):
    """Prints events."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "frameworks.infra.events"

    def _emit(self, **event: object) -> None:
        try:
            sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever started the run is gone and will start it again. Ansible would only warn of an
            # exception here and go on, beside the second run.
            os.killpg(os.getpgrp(), signal.SIGTERM)

    def _host(self, host: str, task: object, result: str, message: str = "") -> None:
        role = task._role.get_name() if task._role is not None else ""
        name = task.get_name(include_role_fqcn=False)
        if role and name.startswith(role.rsplit(".", 1)[-1] + " : "):
            name = name.split(" : ", 1)[1]
        self._emit(
            event="host", host=host, role=role.removeprefix(PREFIX), task=name, result=result, message=message
        )

    def _result(self, result: object, outcome: str, message: str = "") -> None:
        self._host(result._host.get_name(), result._task, outcome, message)

    def v2_playbook_on_play_start(self, play) -> None:
        """A play begins."""
        self._emit(event="play", name=play.get_name())

    def v2_runner_on_start(self, host, task) -> None:
        """A task begins on a host."""
        self._host(host.get_name(), task, "started")

    def v2_runner_on_ok(self, result) -> None:
        """A task is done on a host."""
        changed = result._result.get("changed", False)
        paths = result._result.get("paths", [])
        hidden = result._result.get("_ansible_no_log", False)
        message = ", ".join(paths) if changed and isinstance(paths, list) and not hidden else ""
        self._result(result, "changed" if changed else "ok", shorten(message))

    def v2_runner_on_failed(self, result, ignore_errors=False) -> None:
        """A task failed on a host."""
        self._result(result, "skipped" if ignore_errors else "failed", failure(result._result))

    def v2_runner_on_skipped(self, result) -> None:
        """A task did not concern a host."""
        self._result(result, "skipped")

    def v2_runner_on_unreachable(self, result) -> None:
        """A host does not answer."""
        # ssh ends with the reason; what comes before it is advice to people at a terminal.
        lines = [line.strip() for line in str(result._result.get("msg", "")).splitlines() if line.strip()]
        self._result(result, "unreachable", shorten(lines[-1]) if lines else "does not answer")

    def v2_playbook_on_stats(self, stats) -> None:
        """The end."""
        hosts = {host: stats.summarize(host) for host in sorted(stats.processed)}
        self._emit(event="stats", hosts=hosts)
