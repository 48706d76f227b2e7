"""List a project's versions: what engine and registries hold, how big, how old, and which is latest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from container_pipeline.clients.parallel import in_parallel
from container_pipeline.clients.registry.client import CONNECTIONS
from container_pipeline.commands.actions import Actions
from container_pipeline.console import human_size
from container_pipeline.errors import EngineError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import Digest, RegistryAccess

if TYPE_CHECKING:
    from container_pipeline.clients.registry import Manifest, Registry


@dataclass(frozen=True)
class Image:
    """What stands under a digest: ``size`` in bytes as it travels, ``created`` where the image says so."""

    size: int
    created: datetime | None


def run(run: Run, *, production: bool = False) -> None:
    """Show the versions of development with production beside them, or with ``production`` those of production alone."""
    settings, actions = run.settings, Actions(run)
    accesses = [settings.access("production" if production else "development")]
    if not production and settings.production:
        accesses.append(settings.production)
    held = {access.role: _tags(actions, access) for access in accesses}
    here = _here(actions, accesses)
    versions = sorted({*here, *(tag for tags in held.values() for tag in tags)} - {"latest"}, reverse=True)
    images = _images(actions, accesses, held)
    rows = [_entry(version, held, images, here.get(version)) for version in versions]
    run.result.extra["images"] = rows
    roles = [_role(access) for access in accesses]
    heads = (_("VERSION"), _("DIGEST"), _("SIZE"), _("CREATED"), _("AGE"), _("HERE"), *roles)
    run.console.table(heads, [_row(entry, held) for entry in rows])


def _here(actions: Actions, accesses: list[RegistryAccess]) -> dict[str, Image]:
    """Return the versions that this machine's engine has; none where there is no engine, for registries need none."""
    found: dict[str, Image] = {}
    try:
        for access in accesses:
            name = actions.run.settings.image(access, "latest")
            for tag in actions.engine.tags(name.name):
                image = actions.engine.image(name.with_tag(tag))
                if image:
                    found.setdefault(tag, Image(image.size, _moment(image.created)))
    except EngineError as error:
        actions.run.console.detail(error.message)
    return found


def _tags(actions: Actions, access: RegistryAccess) -> dict[str, Digest]:
    """Return each tag's digest; a tag that was deleted in this moment is none."""
    registry, repository = actions.registry(access), actions.run.settings.repository
    tags = registry.tags(repository)
    digests = in_parallel(lambda tag: registry.resolve(repository, tag), tags, CONNECTIONS)
    return {tag: digest for tag, digest in zip(tags, digests) if digest}


def _images(
    actions: Actions, accesses: list[RegistryAccess], held: dict[str, dict[str, Digest]]
) -> dict[Digest, Image]:
    where = {digest: access for access in reversed(accesses) for digest in held[access.role].values()}
    found = in_parallel(lambda item: _image(actions, *item), where.items(), CONNECTIONS)
    return dict(zip(where, found))


def _image(actions: Actions, digest: Digest, access: RegistryAccess) -> Image:
    registry, repository = actions.registry(access), actions.run.settings.repository
    manifest = registry.manifest(repository, str(digest))
    manifests = [registry.manifest(repository, str(child.digest)) for child in manifest.children] or [manifest]
    blobs = {blob.digest: blob.size for each in manifests for blob in each.blobs}
    return Image(sum(blobs.values()), _created(registry, actions, manifests[0]))


def _created(registry: Registry, actions: Actions, manifest: Manifest) -> datetime | None:
    if manifest.config is None:
        return None
    return _moment(str(registry.config(actions.run.settings.repository, manifest.config).get("created") or ""))


def _moment(text: str) -> datetime | None:
    try:
        # Docker writes nanoseconds; before Python 3.11 no part of a second may be longer than six digits.
        moment = datetime.fromisoformat(text.rstrip("Z").partition(".")[0])
    except ValueError:
        return None
    return moment.replace(tzinfo=timezone.utc)


def _entry(
    version: str, held: dict[str, dict[str, Digest]], images: dict[Digest, Image], here: Image | None
) -> dict[str, Any]:
    digests = {role: tags[version] for role, tags in held.items() if version in tags}
    first = next(iter(digests.values()), None)
    image = images[first] if first else here or Image(0, None)
    return {
        "version": version,
        "digest": str(first or ""),
        "here": here is not None,
        "size": image.size,
        "created": image.created.isoformat() if image.created else "",
        "registries": {role: str(digest) for role, digest in digests.items()},
        "latest": [role for role, tags in held.items() if tags.get("latest") == digests.get(role, "")],
    }


def _row(entry: dict[str, Any], held: dict[str, dict[str, Digest]]) -> list[str]:
    created = datetime.fromisoformat(entry["created"]) if entry["created"] else None
    return [
        entry["version"],
        entry["digest"][7:19] or "-",
        human_size(entry["size"]),
        created.astimezone().strftime("%Y-%m-%d %H:%M") if created else "-",
        _age(created) if created else "-",
        _("yes") if entry["here"] else "-",
        *(_state(entry, role) for role in held),
    ]


def _state(entry: dict[str, Any], role: str) -> str:
    """Return how a version stands in one registry."""
    digest = entry["registries"].get(role)
    if digest is None:
        return _("not yet") if role == "production" else "-"
    if digest != entry["digest"]:
        return _("another: {digest}", digest=digest[7:19])
    return "latest" if role in entry["latest"] else _("yes")


def _role(access: RegistryAccess) -> str:
    return _("PRODUCTION") if access.role == "production" else _("DEVELOPMENT")


def _age(created: datetime) -> str:
    seconds = max(0.0, (datetime.now(timezone.utc) - created).total_seconds())
    for size, text in ((86400, _("{n} d")), (3600, _("{n} h")), (60, _("{n} min"))):
        if seconds >= size:
            return text.format(n=int(seconds // size))
    return _("{n} s", n=int(seconds))
