"""Small text files and directories: make them be as given, and say which were not."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

_ATTRIBUTES: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}

# Module arguments; documented in doc_fragments/files.py.
ARGUMENTS: dict[str, Any] = {
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": dict(_ATTRIBUTES, mode={"type": "str", "default": "0755"}),
    },
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": dict(
            _ATTRIBUTES,
            mode={"type": "str", "default": "0644"},
            content={"type": "str", "required": True},
            unless_exists={"type": "path"},
        ),
    },
}


def _ensure_attributes(module: AnsibleModule, wanted: dict[str, Any], changed: bool) -> bool:
    """Makes owner, group and mode be as wanted; True when something is or was changed."""
    arguments = {name: wanted[name] for name in ("path", "owner", "group", "mode")}
    return module.set_fs_attributes_if_different(
        module.load_file_common_arguments(arguments, path=wanted["path"]), changed
    )


def _ensure_directory(module: AnsibleModule, wanted: dict[str, Any]) -> bool:
    missing = not os.path.isdir(wanted["path"])
    if missing and module.check_mode:
        return True
    if missing:
        os.makedirs(wanted["path"])
    return _ensure_attributes(module, wanted, missing)


def _ensure_file(module: AnsibleModule, wanted: dict[str, Any], diffs: list[dict[str, str]]) -> bool:
    path = wanted["path"]
    if wanted["unless_exists"] and os.path.exists(wanted["unless_exists"]):
        return False
    content = wanted["content"].encode("utf-8")
    try:
        with open(path, "rb") as file:
            before = file.read()
    except FileNotFoundError:
        before = None
    differs = before != content
    if differs:
        old = (before or b"").decode("utf-8", "replace")
        diffs.append(
            {"before_header": path, "after_header": path, "before": old, "after": wanted["content"]}
        )
        if module.check_mode:
            return True
        handle, temporary = tempfile.mkstemp(dir=module.tmpdir)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        module.atomic_move(temporary, path)
    return _ensure_attributes(module, wanted, differs)


def ensure(module: AnsibleModule) -> dict[str, Any]:
    """Makes directories, then files; returns what changed as `paths`, and a `diff`."""
    paths = [wanted["path"] for wanted in module.params["directories"] if _ensure_directory(module, wanted)]
    diffs: list[dict[str, str]] = []
    paths += [wanted["path"] for wanted in module.params["files"] if _ensure_file(module, wanted, diffs)]
    return {"paths": paths, "diff": diffs}
