"""List a project's versions in engine and registries, with size and age, and which one is `latest`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from container_pipeline.clients.registry import referrers
from container_pipeline.clients.registry.client import CONNECTIONS
from container_pipeline.clients.registry.copy import Place
from container_pipeline.console import human_size
from container_pipeline.errors import EngineError, RegistryError
from container_pipeline.execute import Run
from container_pipeline.execute.image import Actions
from container_pipeline.i18n import _
from container_pipeline.model import CREATED, Digest, RegistryAccess, build_time, local_time, moment
from container_pipeline.outside import pick
from container_pipeline.parallel import in_parallel
from container_pipeline.result import Images

if TYPE_CHECKING:
    from container_pipeline.clients.registry import Manifest, RegistryClient


@dataclass(frozen=True)
class Listed:
    """The image under a digest, or the problem with it: its transfer size in bytes, its time if known, the kinds of what refers to it."""

    size: int
    created: datetime | None
    problem: str = ""
    attached: frozenset[str] = frozenset()


def run(run: Run, *, production: bool = False) -> None:
    """Show the versions in development, each with its state in production; with ``production``, only those in production."""
    settings, actions = run.settings, Actions(run)
    accesses = [settings.access("production" if production else "development")]
    if not production and settings.production:
        accesses.append(settings.production)
    problems: dict[str, str] = {}
    tags = {access.role: actions.registry(access).tags(settings.repository) for access in accesses}
    held = {access.role: _tags(actions, access, tags[access.role], problems) for access in accesses}
    here = _here(actions, accesses)
    versions = sorted({*here, *problems, *(tag for tags in held.values() for tag in tags)} - {"latest"}, reverse=True)
    images = _images(actions, accesses, held, tags)
    rows = [_entry(version, held, images, here.get(version), problems.get(version, "")) for version in versions]
    if any(row.get("problem") for row in rows):
        # Blame the image only if its registry responds at all.
        for access in accesses:
            actions.registry(access).ping()
    run.result.add(Images(images=rows))
    roles = [_role(access) for access in accesses]
    heads = (_("VERSION"), _("DIGEST"), _("SIZE"), _("CREATED"), _("AGE"), _("HERE"), *roles, _("ATTACHED"))
    if not any(row["signed"] or row["sbom"] for row in rows):
        heads = heads[:-1]
    run.console.table(heads, [_row(entry, held)[: len(heads)] for entry in rows])
    for row in rows:
        if row.get("problem"):
            run.console.warning(f"{row['version']}: {row['problem']}")


def _here(actions: Actions, accesses: list[RegistryAccess]) -> dict[str, Listed]:
    """Return the versions in this machine's engine; none without an engine, which registries do not need."""
    found: dict[str, Listed] = {}
    try:
        for access in accesses:
            name = actions.run.settings.image(access, "latest")
            for tag in actions.engine.tags(name):
                image = actions.engine.image(name.with_tag(tag))
                if image:
                    found.setdefault(tag, Listed(image.size, moment(image.created)))
    except EngineError as error:
        actions.run.console.detail(error.message)
    return found


def _tags(actions: Actions, access: RegistryAccess, listed: list[str], problems: dict[str, str]) -> dict[str, Digest]:
    """Return each image's tag with its digest; a tag deleted meanwhile has none, and an unreadable one is a problem."""
    registry, repository = actions.registry(access), actions.run.settings.repository
    tags = [tag for tag in listed if not referrers.subject_of(tag)]

    def resolve(tag: str) -> Digest | None:
        try:
            return registry.resolve(repository, tag)
        except RegistryError as error:
            problems[tag] = error.message
            return None

    digests = in_parallel(resolve, tags, CONNECTIONS)
    return {tag: digest for tag, digest in zip(tags, digests) if digest}


def _images(
    actions: Actions,
    accesses: list[RegistryAccess],
    held: dict[str, dict[str, Digest]],
    tags: dict[str, list[str]],
) -> dict[Digest, Listed]:
    where = {digest: access for access in reversed(accesses) for digest in held[access.role].values()}
    first = {access: digest for digest, access in where.items()}
    # One question for each registry says whether it has to be asked about each image.
    api = {access.role: _has_api(actions, access, digest) for access, digest in first.items()}
    known = {role: frozenset(tags[role]) for role in tags}

    def look(item: tuple[Digest, RegistryAccess]) -> Listed:
        digest, access = item
        return _image(actions, digest, access, known[access.role], api[access.role])

    found = in_parallel(look, where.items(), CONNECTIONS)
    return dict(zip(where, found))


def _has_api(actions: Actions, access: RegistryAccess, digest: Digest) -> bool:
    try:
        return actions.registry(access).referrers(actions.run.settings.repository, digest) is not None
    except RegistryError:
        return True  # the image's own row says what is wrong


def _image(actions: Actions, digest: Digest, access: RegistryAccess, tags: frozenset[str], api: bool) -> Listed:
    """Return the image under a digest; if it cannot be read, the problem is limited to this image."""
    registry, repository = actions.registry(access), actions.run.settings.repository
    try:
        manifest = registry.manifest(repository, str(digest))
        manifests = [registry.manifest(repository, str(child.digest)) for child in manifest.children] or [manifest]
        blobs = {blob.digest: blob.size for each in manifests for blob in each.blobs}
        # What BuildKit itself attaches is in the index.
        kinds = {referrers.kind_of(each) for each in manifests if manifest.children}
        place, subjects = Place(registry, repository), (digest, *(child.digest for child in manifest.children))
        kinds |= {one.kind for one in referrers.find(place, subjects, actions.run.console.detail, tags=tags, api=api)}
        return Listed(sum(blobs.values()), _created(registry, actions, manifests[0]), attached=frozenset(kinds))
    except RegistryError as error:
        return Listed(0, None, error.message)


def _created(registry: RegistryClient, actions: Actions, manifest: Manifest) -> datetime | None:
    if manifest.config is None:
        return None
    config = registry.config(actions.run.settings.repository, manifest.config)
    # A build from the layer cache keeps the time of its last new layer.
    label = build_time(pick(pick(config, "config", dict), "Labels", dict).get(CREATED))
    return moment(label or pick(config, "created", str))


def _entry(
    version: str, held: dict[str, dict[str, Digest]], images: dict[Digest, Listed], here: Listed | None, problem: str
) -> dict[str, Any]:
    digests = {role: tags[version] for role, tags in held.items() if version in tags}
    first = next(iter(digests.values()), None)
    image = images[first] if first else here or Listed(0, None)
    problem = problem or image.problem
    return {
        **({"problem": problem} if problem else {}),
        "version": version,
        "digest": str(first or ""),
        "here": here is not None,
        "size": image.size,
        "created": image.created.isoformat() if image.created else "",
        "signed": referrers.SIGNATURE in image.attached,
        "sbom": referrers.SBOM in image.attached,
        "registries": {role: str(digest) for role, digest in digests.items()},
        "latest": [role for role, tags in held.items() if tags.get("latest") == digests.get(role, "")],
    }


def _row(entry: dict[str, Any], held: dict[str, dict[str, Digest]]) -> list[str]:
    created = datetime.fromisoformat(entry["created"]) if entry["created"] else None
    return [
        entry["version"],
        entry["digest"][7:19] or "-",
        "?" if entry.get("problem") else human_size(entry["size"]),
        local_time(entry["created"]) or "-",
        _age(created) if created else "-",
        _("yes") if entry["here"] else "-",
        *(_state(entry, role) for role in held),
        ", ".join(text for key, text in (("signed", _("signature")), ("sbom", _("SBOM"))) if entry[key]) or "-",
    ]


def _state(entry: dict[str, Any], role: str) -> str:
    """Return the state of a version in one registry."""
    digest = entry["registries"].get(role)
    if digest is None:
        return _("not yet") if role == "production" else "-"
    if digest != entry["digest"]:
        return _("differs: {digest}", digest=digest[7:19])
    return "latest" if role in entry["latest"] else _("yes")


def _role(access: RegistryAccess) -> str:
    return _("PRODUCTION") if access.role == "production" else _("DEVELOPMENT")


def _age(created: datetime) -> str:
    seconds = max(0.0, (datetime.now(timezone.utc) - created).total_seconds())
    for size, text in ((86400, _("{n} d")), (3600, _("{n} h")), (60, _("{n} min"))):
        if seconds >= size:
            return text.format(n=int(seconds // size))
    return _("{n} s", n=int(seconds))
