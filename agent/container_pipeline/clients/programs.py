"""Programs that reach a registry by themselves, as cosign and syft do: found, given a login, run, and heard."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from container_pipeline import environment
from container_pipeline.clients import children
from container_pipeline.clients.registry.connection import whole_bundle
from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import Secret
from container_pipeline.outside import short


@dataclass(frozen=True)
class Reference:
    """An image by its digest, and how its registry is reached.

    ``login`` is Docker's config.json for the registry, "" for none. ``insecure``: the registry speaks plain http.
    """

    name: str
    login: Secret
    insecure: bool = False

    @contextmanager
    def reached(self) -> Iterator[dict[str, str]]:
        """Yield the environment in which a program finds the login and the CAs, in a private folder that is deleted afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "config.json"
            config.touch(0o600)
            config.write_text(self.login.reveal() or "{}")
            environ = {**environment.for_child(), "DOCKER_CONFIG": folder}
            trusted = whole_bundle(self.name.partition("/")[0])
            if trusted:
                bundle = Path(folder) / "authorities.pem"
                bundle.write_bytes(trusted)
                environ["SSL_CERT_FILE"] = str(bundle)
            yield environ


def find(name: str, key: str) -> str:
    """Return the path of a program that the setting ``key`` needs; raises SettingsError if it is missing."""
    found = shutil.which(name)
    if not found:
        raise SettingsError(
            _("`{key}` needs the program {program}, which is not on this machine", key=key, program=name),
            _("install {program} here, or remove `{key}`", key=key, program=name),
        )
    return found


def finish(
    command: Sequence[str], environ: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[bytes] | str:
    """Run a program; return what it did, or its last line if it failed."""
    try:
        done = children.finish(command, environ, folder=None, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired, children.Flooded) as error:
        return short(error)
    if not done.returncode:
        return done
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else _("exit code {code}", code=done.returncode)
    return short(last.removeprefix("error during command execution: ").removeprefix("Error: "))
