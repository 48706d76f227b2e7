"""Signs images and checks signatures with cosign, the program: without transparency log, so without the internet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from container_pipeline import environment
from container_pipeline.clients import children, programs
from container_pipeline.clients.programs import Reference
from container_pipeline.errors import RegistryError, SettingsError
from container_pipeline.i18n import _
from container_pipeline.keys import SIGN_PASSWORD
from container_pipeline.model import Secret

_NAME = "cosign"
_TIMEOUT = 120.0
#: What switches off the transparency log, by cosign's generation, and reads signatures that are listed as referrers.
_VERIFY = ("--insecure-ignore-tlog", "--private-infrastructure", "--experimental-oci11")
#: The same for signing. Registries without OCI artifacts, such as Aliyun's, and each cosign take the older format.
_WRITE = ("--tlog-upload=false", "--use-signing-config=false", "--new-bundle-format=false", "--yes")
#: Cosign 3 wants to know whom to trust besides the key: nobody.
_NOBODY = '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'


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
        command = [program("sign"), "public-key", "--key", str(self.path)]
        done = programs.finish(command, {**environment.for_child(), **self.environment}, _TIMEOUT)
        if isinstance(done, str):
            raise _unusable(self, done)
        return done.stdout.decode(errors="replace")


def program(key: str) -> str:
    """Return the path of cosign, which the setting ``key`` needs; raises SettingsError if it is missing."""
    return programs.find(_NAME, key)


def verify(image: Reference, keys: Sequence[Path]) -> None:
    """Check that one of ``keys`` signed ``image``; raises RegistryError with the reason of each key."""
    known = _known("verify", (*_VERIFY, "--trusted-root"))
    options = [*(option for option in known if option in _VERIFY), *_plain(image)]
    reasons = []
    with image.reached() as environ:
        if "--trusted-root" in known:
            root = Path(environ["DOCKER_CONFIG"]) / "root.json"
            root.write_text(_NOBODY)
            options += ["--trusted-root", str(root)]
        for key in keys:
            command = [program("verify"), "verify", "--key", str(key), *options, image.name]
            done = programs.finish(command, environ, _TIMEOUT)
            if not isinstance(done, str):
                return
            reasons.append(f"{key.name}: {done}")
    raise RegistryError(
        _("{image} is not verified: {reasons}", image=image.name, reasons="; ".join(reasons)),
        _("sign it with `cosign sign --key KEY {image}`, or set `verify` to the key that signed it", image=image.name),
    )


def sign(image: Reference, key: SigningKey) -> None:
    """Sign ``image`` and, if it is an index, each of its manifests, because a promotion may leave the index behind."""
    problem = _write(image, "sign", ["--recursive"], key)
    if problem:
        raise RegistryError(
            _("{image} could not be signed: {reason}", image=image.name, reason=problem),
            _("push it again: what has arrived is not sent again, only signed"),
        )


def attach(image: Reference, sbom: Path, key: SigningKey | None) -> None:
    """Attach an SBOM in SPDX's JSON: signed by ``key`` as an attestation, and as it is without one."""
    if key:
        problem = _write(image, "attest", ["--type", "spdxjson", "--predicate", str(sbom)], key)
    else:
        options = ["--type", "spdx", "--input-format", "json", "--sbom", str(sbom), *_plain(image), image.name]
        with image.reached() as environ:
            done = programs.finish([program("sbom"), "attach", "sbom", *options], environ, _TIMEOUT)
        problem = done if isinstance(done, str) else ""
    if problem:
        raise RegistryError(
            _("the SBOM of {image} could not be attached: {reason}", image=image.name, reason=problem),
            _("push it again: what has arrived is not sent again"),
        )


def _write(image: Reference, word: str, options: Sequence[str], key: SigningKey) -> str:
    """Sign something about ``image`` with the command ``word``; return the problem, "" for none."""
    options = [*options, *_known(word, _WRITE), *_plain(image)]
    command = [program("sign"), word, "--key", str(key.path), *options, image.name]
    with image.reached() as environ:
        done = programs.finish(command, {**environ, **key.environment}, _TIMEOUT)
    return done if isinstance(done, str) else ""


def _plain(image: Reference) -> list[str]:
    """Return the options for a registry that speaks plain http; some commands of cosign heed only the second."""
    return ["--allow-http-registry", "--allow-insecure-registry"] if image.insecure else []


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
