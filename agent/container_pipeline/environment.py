"""The environment that child programs get."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from container_pipeline.keys import PREFIX, SIGN_PASSWORD

#: Passwords, tokens and this product's own settings, which include build arguments and paths of secret files.
_OURS = re.compile(rf"DOCKER_.*_PASS|JENKINS_TOKEN|{SIGN_PASSWORD}|{PREFIX}.*")


def for_child() -> dict[str, str]:
    """Return the environment without our own variables. A credential helper or Compose's ``${…}`` may need the rest."""
    return {name: value for name, value in os.environ.items() if not _OURS.fullmatch(name)}


#: What a program needs to find its files, its network and its language.
_PLAIN = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|XDG_[A-Z_]+|SSL_CERT_(?:FILE|DIR)"
    r"|(?:https?|HTTPS?|no|NO|all|ALL)_(?:proxy|PROXY)"
)


def for_program(inherit: Iterable[str]) -> dict[str, str]:
    """Return what a program of the project gets that may see secrets: the plain variables, and those that it inherits by name."""
    names = set(inherit)
    return {name: value for name, value in os.environ.items() if name in names or _PLAIN.fullmatch(name)}


def emptied() -> dict[str, str]:
    """Return our own variables as empty ones, for a library that merges them into the environment."""
    return dict.fromkeys(os.environ.keys() - for_child().keys(), "")
