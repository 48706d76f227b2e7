"""Signs what a push brought to a registry, and attaches its SBOM, by digest."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from container_pipeline.clients import cosign, syft
from container_pipeline.clients.programs import Reference
from container_pipeline.clients.registry.copy import Place
from container_pipeline.clients.registry.referrers import SBOM, find
from container_pipeline.errors import RegistryError, SettingsError
from container_pipeline.execute.registries import Registries
from container_pipeline.execute.verification import named
from container_pipeline.i18n import _
from container_pipeline.model import Digest
from container_pipeline.plan.image import Attach, Sign
from container_pipeline.project.context import Ignored, ignore_files
from container_pipeline.settings import Settings


def check(settings: Settings, context: Path | None = None) -> None:
    """Refuse settings with which nothing can be signed, before anything is built or pushed; ``context`` is that of a build."""
    if settings.values.sbom:
        syft.program()
        cosign.program("sbom")
    key = _key(settings)
    if not key:
        return
    if context and context in key.path.parents:
        name = key.path.relative_to(context).as_posix()
        dockerfile = context / str(settings.values.dockerfile)
        for file in ignore_files(context, dockerfile, settings.values.builder):
            if not Ignored.read(context, file=file)(name):
                raise SettingsError(
                    _("sign: {name} is in the build context, so `COPY` can put it into the image", name=name),
                    _("list it in {file}, or keep it outside of the project", file=file.name),
                )
    key.public()


def attach(registries: Registries, step: Attach, digest: Digest) -> None:
    """Make an SBOM of each image under ``digest``, one for each platform, and attach it to that image.

    An image to which an earlier run attached one is passed over.
    """
    run = registries.run
    place = Place(registries.registry(step.access), step.image.repository)
    subjects = place.registry.manifest(place.repository, str(digest)).images or (digest,)
    found = find(place, subjects, run.console.detail) if step.again else ()
    complete = {one.subject for one in found if one.kind == SBOM}
    for subject in subjects:
        if subject in complete:
            continue
        image = named(step.access, step.image.repository, subject)
        with tempfile.TemporaryDirectory() as folder:
            sbom = Path(folder) / "sbom.json"
            syft.write(image, sbom)
            cosign.attach(image, sbom, _key(run.settings))
        run.console.line(_("attached an SBOM to {image}", image=image.name))


def sign(registries: Registries, step: Sign, digest: Digest) -> None:
    """Sign what the registry holds under ``digest``, unless the same key signed it in an earlier run."""
    key, image = _key(registries.run.settings), named(step.access, step.image.repository, digest)
    if key is None or (step.again and _signed(image, key)):
        registries.run.console.line(_("{image} is signed", image=image.name))
        return
    cosign.sign(image, key)
    registries.run.console.line(_("signed {image}", image=image.name))


def _signed(image: Reference, key: cosign.SigningKey) -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".pub") as file:
        file.write(key.public())
        file.flush()
        try:
            cosign.verify(image, [Path(file.name)])
        except RegistryError:
            return False
    return True


def _key(settings: Settings) -> cosign.SigningKey | None:
    if not settings.values.sign:
        return None
    cosign.program("sign")
    path = Path(os.path.normpath(settings.project / Path(settings.values.sign["key"]).expanduser()))
    if not path.is_file():
        raise SettingsError(
            _("sign: {path} does not exist", path=path),
            _("write the path of a private key, as `cosign generate-key-pair` makes it"),
        )
    return cosign.SigningKey(path, settings.sign_password)
