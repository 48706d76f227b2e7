"""The environment that child programs get."""

from __future__ import annotations

import os
import re

from container_pipeline.keys import PREFIX

#: Passwords, tokens and this product's own settings, which include build arguments and paths of secret files.
_OURS = re.compile(rf"DOCKER_.*_PASS|JENKINS_TOKEN|{PREFIX}.*")


def for_child() -> dict[str, str]:
    """Return the environment without our own variables. A credential helper or Compose's ``${…}`` may need the rest."""
    return {name: value for name, value in os.environ.items() if not _OURS.fullmatch(name)}


def emptied() -> dict[str, str]:
    """Return our own variables as empty ones, for a library that merges them into the environment."""
    return dict.fromkeys(os.environ.keys() - for_child().keys(), "")
