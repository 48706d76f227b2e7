"""Checks signatures with cosign, the program: without transparency log, so without the internet."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from container_pipeline import environment
from container_pipeline.clients import children
from container_pipeline.errors import RegistryError, SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import Secret
from container_pipeline.outside import short

_TIMEOUT = 120.0
#: What switches off the transparency log, by cosign's generation, and reads signatures that are listed as referrers.
_OPTIONS = ("--insecure-ignore-tlog", "--private-infrastructure", "--experimental-oci11")
#: Cosign 3 wants to know whom to trust besides the key: nobody.
_NOBODY = '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'


def program() -> str:
    """Return the path of cosign; raises SettingsError if it is missing."""
    found = shutil.which("cosign")
    if not found:
        raise SettingsError(
            _("`verify` needs the program cosign, which is not on this machine"),
            _("install cosign 2 or 3 here, or remove `verify`"),
        )
    return found


def verify(image: str, keys: Sequence[Path], login: Secret, *, insecure: bool = False) -> None:
    """Check that one of ``keys`` signed ``image``, a name with a digest; raises RegistryError with the reason of each key.

    ``login`` is Docker's config.json for the registry, "" for none. ``insecure``: the registry speaks plain http.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.touch(0o600)
        config.write_text(login.reveal() or "{}")
        root = Path(folder) / "root.json"
        root.write_text(_NOBODY)
        options = [*_options(program(), str(root)), *(["--allow-http-registry"] if insecure else [])]
        environ = {**environment.for_child(), "DOCKER_CONFIG": folder}
        reasons = []
        for key in keys:
            reason = _run([program(), "verify", "--key", str(key), *options, image], environ)
            if not reason:
                return
            reasons.append(f"{key.name}: {reason}")
    raise RegistryError(
        _("{image} is not verified: {reasons}", image=image, reasons="; ".join(reasons)),
        _("sign it with `cosign sign --key KEY {image}`, or set `verify` to the key that signed it", image=image),
    )


def _run(command: Sequence[str], environ: dict[str, str]) -> str:
    """Run cosign; return "" for success, else its last line."""
    try:
        done = children.finish(command, environ, folder=None, timeout=_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired, children.Flooded) as error:
        return short(error)
    if not done.returncode:
        return ""
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else _("exit code {code}", code=done.returncode)
    return short(last.removeprefix("error during command execution: ").removeprefix("Error: "))


def _options(path: str, root: str) -> tuple[str, ...]:
    """Return the options that this cosign knows, by its help."""
    done = children.ask([path, "verify", "--help"], environment.for_child(), timeout=_TIMEOUT)
    known = (done.stdout + done.stderr).decode(errors="replace") if done else ""
    return (
        *(option for option in _OPTIONS if option in known),
        *(("--trusted-root", root) if "--trusted-root" in known else ()),
    )
