#!/usr/bin/python
"""Many small files in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Make small text files and directories be as given, in one round trip
description:
  - Does for a list of files what C(ansible.builtin.copy) with I(content) does for one, with one
    connection and one Python start on the host instead of several a file.
  - Files are replaced atomically. Directories come first.
extends_documentation_fragment: [frameworks.infra.files]
author: FrameWorks (@frameworks)
"""

EXAMPLES = r"""
- name: Configure
  frameworks.infra.files:
    directories:
      - {path: /etc/example, mode: "0750"}
    files:
      - path: /etc/example/example.conf
        content: "{{ lookup('ansible.builtin.template', 'example.conf.j2') }}"
"""

RETURN = r"""
paths:
  description: What was changed.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.frameworks.infra.plugins.module_utils import files


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=files.ARGUMENTS, supports_check_mode=True)
    try:
        result = files.ensure(module)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    module.exit_json(changed=bool(result["paths"]), **result)


if __name__ == "__main__":
    main()
