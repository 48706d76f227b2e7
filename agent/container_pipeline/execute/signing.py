"""Signs what a push brought to a registry, by digest."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from container_pipeline.errors import RegistryError, SettingsError
from container_pipeline.execute import Run
from container_pipeline.execute.verification import named
from container_pipeline.i18n import _
from container_pipeline.model import Digest, ImageRef, RegistryAccess
from container_pipeline.project.context import IGNORE_FILE, Ignored
from container_pipeline.settings import Settings

if TYPE_CHECKING:
    from container_pipeline.clients import cosign


def check(settings: Settings, context: Path | None = None) -> None:
    """Refuse settings with which nothing can be signed, before anything is built or pushed; ``context`` is that of a build."""
    if not settings.values.sign:
        return
    key = _key(settings)
    if context and context in key.path.parents:
        name = key.path.relative_to(context).as_posix()
        if not Ignored.read(context)(name):
            raise SettingsError(
                _("sign: {name} is in the build context, so `COPY` can put it into the image", name=name),
                _("list it in {file}, or keep it outside of the project", file=IGNORE_FILE),
            )
    key.public()


def sign(run: Run, image: ImageRef, access: RegistryAccess, digest: Digest, *, again: bool) -> None:
    """Sign what ``access`` holds under ``digest``; ``again``: unless the same key signed it before."""
    from container_pipeline.clients import cosign

    key, name = _key(run.settings), named(access, image.repository, digest)
    if again and _signed(name, key):
        run.console.line(_("{image} is signed", image=name.name))
        return
    cosign.sign(name, key)
    run.console.line(_("signed {image}", image=name.name))


def _signed(image: cosign.Reference, key: cosign.SigningKey) -> bool:
    from container_pipeline.clients import cosign

    with tempfile.NamedTemporaryFile("w", suffix=".pub") as file:
        file.write(key.public())
        file.flush()
        try:
            cosign.verify(image, [Path(file.name)])
        except RegistryError:
            return False
    return True


def _key(settings: Settings) -> cosign.SigningKey:
    from container_pipeline.clients import cosign

    cosign.program("sign")
    path = Path(os.path.normpath(settings.project / Path(settings.values.sign["key"]).expanduser()))
    if not path.is_file():
        raise SettingsError(
            _("sign: {path} does not exist", path=path),
            _("write the path of a private key, as `cosign generate-key-pair` makes it"),
        )
    return cosign.SigningKey(path, settings.sign_password)
