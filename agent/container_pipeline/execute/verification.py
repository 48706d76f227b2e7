"""Refuses images that none of the project's keys signed, by digest, before a promotion and before servers are touched."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from container_pipeline.clients.programs import Reference
from container_pipeline.errors import RegistryError, SettingsError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import Digest, RegistryAccess, Repository
from container_pipeline.parallel import in_parallel
from container_pipeline.plan.deploy import login
from container_pipeline.settings import Settings

_AT_ONCE = 4


def check(settings: Settings) -> None:
    """Refuse settings with which no image can be verified, before anything is changed."""
    if settings.values.verify:
        from container_pipeline.clients import cosign

        _keys(settings)
        cosign.program("verify")


def verify(run: Run, access: RegistryAccess, digest: Digest) -> None:
    """Raise RegistryError unless one of the keys signed the image that ``access`` holds under ``digest``."""
    settings = run.settings
    if not settings.values.verify:
        return
    from container_pipeline.clients import cosign

    image = named(access, settings.repository, digest)
    cosign.verify(image, _keys(settings))
    run.console.line(_("{image} is signed", image=image.name))


def named(access: RegistryAccess, repository: Repository, digest: Digest) -> Reference:
    """Return what ``access`` holds under ``digest``, in the form that cosign takes.

    Docker Hub has the name under which cosign looks for the login (go-containerregistry, ``name.DefaultRegistry``).
    """
    host = "index.docker.io" if access.registry.is_docker_hub else access.registry.host
    name = f"{host}/{access.registry.within(repository)}@{digest}"
    return Reference(name, login(access), access.insecure)


def signed(run: Run, access: RegistryAccess, digests: Iterable[Digest]) -> tuple[list[Digest], list[RegistryError]]:
    """Return those of ``digests`` that one of the keys signed, and the errors of the others."""
    known = list(dict.fromkeys(digests))

    def problem(digest: Digest) -> RegistryError | None:
        try:
            verify(run, access, digest)
        except RegistryError as error:
            return error
        return None

    problems = in_parallel(problem, known, _AT_ONCE)
    good = [digest for digest, error in zip(known, problems) if not error]
    return good, [error for error in problems if error]


def _keys(settings: Settings) -> list[Path]:
    paths = [settings.project / name for name in settings.values.verify]
    for path in paths:
        if not path.is_file():
            raise SettingsError(
                _("verify: {path} does not exist", path=path),
                _("write the path of a public key, as `cosign generate-key-pair` makes it"),
            )
    return paths
