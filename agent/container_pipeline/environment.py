"""What other programs get to know of this one's environment."""

from __future__ import annotations

import os
import re

from container_pipeline.keys import PREFIX

#: Passwords and tokens, and this product's own settings: build arguments are among them, and files with secrets.
_OURS = re.compile(rf"DOCKER_.*_PASS|JENKINS_TOKEN|{PREFIX}.*")


def for_child() -> dict[str, str]:
    """Return the environment without what is ours; the rest a credential helper or Compose's ``${…}`` may need."""
    return {name: value for name, value in os.environ.items() if not _OURS.fullmatch(name)}


def emptied() -> dict[str, str]:
    """Return what is ours as empty variables, for a library that lays them over the environment by itself."""
    return dict.fromkeys(os.environ.keys() - for_child().keys(), "")
