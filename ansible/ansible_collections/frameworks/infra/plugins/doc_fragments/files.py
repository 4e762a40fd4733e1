"""Documentation shared by the modules that write files."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of module_utils/files.py."""

    DOCUMENTATION = r"""
options:
  directories:
    description: Directories that shall exist.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Where., type: path, required: true}
      owner: {description: User name., type: str, default: root}
      group: {description: Group name., type: str, default: root}
      mode: {description: "Permissions, octal.", type: str, default: "0755"}
  files:
    description: Files that shall exist with this content.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Where., type: path, required: true}
      content: {description: The whole content., type: str, required: true}
      owner: {description: User name., type: str, default: root}
      group: {description: Group name., type: str, default: root}
      mode: {description: "Permissions, octal.", type: str, default: "0644"}
      unless_exists: {description: Leave the file alone while this path exists., type: path}
"""
