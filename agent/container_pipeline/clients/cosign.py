"""Signs images and checks signatures with cosign, the program: without transparency log, so without the internet."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from container_pipeline import environment
from container_pipeline.clients import children
from container_pipeline.errors import RegistryError, SettingsError
from container_pipeline.i18n import _
from container_pipeline.keys import SIGN_PASSWORD
from container_pipeline.model import Secret
from container_pipeline.outside import short

_TIMEOUT = 120.0
#: What switches off the transparency log, by cosign's generation, and reads signatures that are listed as referrers.
_VERIFY = ("--insecure-ignore-tlog", "--private-infrastructure", "--experimental-oci11")
#: The same for signing. Registries without OCI artifacts, such as Aliyun's, and each cosign take the older format of signatures.
#: All manifests of an index are signed, since a promotion may leave the index behind.
_SIGN = ("--tlog-upload=false", "--use-signing-config=false", "--new-bundle-format=false", "--recursive", "--yes")
#: Cosign 3 wants to know whom to trust besides the key: nobody.
_NOBODY = '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'


@dataclass(frozen=True)
class Reference:
    """An image by its digest, and how its registry is reached.

    ``login`` is Docker's config.json for the registry, "" for none. ``insecure``: the registry speaks plain http.
    """

    name: str
    login: Secret
    insecure: bool = False

    @property
    def options(self) -> list[str]:
        return ["--allow-http-registry"] if self.insecure else []


@dataclass(frozen=True)
class SigningKey:
    """A private key of cosign, and its password."""

    path: Path
    password: Secret

    @property
    def environment(self) -> dict[str, str]:
        """The password's variable; an empty one keeps cosign from asking for it."""
        return {SIGN_PASSWORD: self.password.reveal()}

    def public(self) -> str:
        """Return the public key; raises SettingsError if the private key cannot be used."""
        # Its own environment: nothing here needs a registry.
        environ = {**environment.for_child(), **self.environment}
        done = _finish([program("sign"), "public-key", "--key", str(self.path)], environ)
        if isinstance(done, str):
            raise _unusable(self, done)
        return done.stdout.decode(errors="replace")


def program(key: str) -> str:
    """Return the path of cosign, which the setting ``key`` needs; raises SettingsError if it is missing."""
    found = shutil.which("cosign")
    if not found:
        raise SettingsError(
            _("`{key}` needs the program cosign, which is not on this machine", key=key),
            _("install cosign 2 or 3 here, or remove `{key}`", key=key),
        )
    return found


def verify(image: Reference, keys: Sequence[Path]) -> None:
    """Check that one of ``keys`` signed ``image``; raises RegistryError with the reason of each key."""
    with _folder(image) as folder:
        root = folder / "root.json"
        root.write_text(_NOBODY)
        options = _known("verify", _VERIFY)
        options += ["--trusted-root", str(root)] if _known("verify", ["--trusted-root"]) else []
        reasons = []
        for key in keys:
            command = [program("verify"), "verify", "--key", str(key), *options, *image.options, image.name]
            done = _finish(command, _environ(folder))
            if not isinstance(done, str):
                return
            reasons.append(f"{key.name}: {done}")
    raise RegistryError(
        _("{image} is not verified: {reasons}", image=image.name, reasons="; ".join(reasons)),
        _("sign it with `cosign sign --key KEY {image}`, or set `verify` to the key that signed it", image=image.name),
    )


def sign(image: Reference, key: SigningKey) -> None:
    """Sign ``image`` and, if it is an index, each of its manifests; raises RegistryError."""
    with _folder(image) as folder:
        options = [*_known("sign", _SIGN), *image.options]
        command = [program("sign"), "sign", "--key", str(key.path), *options, image.name]
        done = _finish(command, {**_environ(folder), **key.environment})
    if isinstance(done, str):
        raise RegistryError(
            _("{image} could not be signed: {reason}", image=image.name, reason=done),
            _("push it again: what has arrived is not sent again, only signed"),
        )


@contextmanager
def _folder(image: Reference) -> Iterator[Path]:
    """Yield a private folder with the login, which is deleted afterwards."""
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "config.json"
        config.touch(0o600)
        config.write_text(image.login.reveal() or "{}")
        yield Path(name)


def _environ(folder: Path) -> dict[str, str]:
    return {**environment.for_child(), "DOCKER_CONFIG": str(folder)}


def _finish(command: Sequence[str], environ: dict[str, str]) -> subprocess.CompletedProcess[bytes] | str:
    """Run cosign; return what it did, or its last line if it failed."""
    try:
        done = children.finish(command, environ, folder=None, timeout=_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired, children.Flooded) as error:
        return short(error)
    if not done.returncode:
        return done
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else _("exit code {code}", code=done.returncode)
    return short(last.removeprefix("error during command execution: ").removeprefix("Error: "))


def _known(word: str, options: Sequence[str]) -> list[str]:
    """Return those of ``options`` that this cosign knows, by its help."""
    done = children.ask([program(word), word, "--help"], environment.for_child(), timeout=_TIMEOUT)
    help_text = (done.stdout + done.stderr).decode(errors="replace") if done else ""
    return [option for option in options if option.partition("=")[0] in help_text]


def _unusable(key: SigningKey, reason: str) -> SettingsError:
    if "decryption failed" not in reason:
        return SettingsError(
            _("sign: {path} is not a private key that cosign can use: {reason}", path=key.path, reason=reason),
            _("write the path of a private key, as `cosign generate-key-pair` makes it"),
        )
    wrong = _("sign: the password of {path} is wrong", path=key.path)
    return SettingsError(
        wrong if key.password else _("sign: {path} needs a password", path=key.path),
        _("set it in {variable}, in Jenkins by the credential `signPassword`", variable=SIGN_PASSWORD),
    )
