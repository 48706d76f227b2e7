"""The steps that plans are made of. A step says what is to be done, never how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from container_pipeline.i18n import _
from container_pipeline.model import Digest, ImageRef, RegistryAccess


@dataclass(frozen=True)
class Step:
    """Base of all steps. ``name`` is what the result calls it; ``describe`` is one line for a person."""

    name: ClassVar[str] = ""

    def describe(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class Tag(Step):
    """Give an image in the engine a second name."""

    name: ClassVar[str] = "tag"
    source: ImageRef
    target: ImageRef

    def describe(self) -> str:
        return _("tag {source} as {target}", source=self.source, target=self.target)


@dataclass(frozen=True)
class Push(Step):
    """Push an image from the engine and read back the digest."""

    name: ClassVar[str] = "push"
    image: ImageRef
    access: RegistryAccess

    def describe(self) -> str:
        return _("push {image}", image=self.image)


@dataclass(frozen=True)
class MoveTag(Step):
    """Let a tag of a registry name the manifest that ``source`` names there: one manifest PUT, no engine."""

    name: ClassVar[str] = "move-tag"
    source: ImageRef
    tag: str
    access: RegistryAccess

    def describe(self) -> str:
        return _("point {target} at {source}", target=self.source.with_tag(self.tag), source=self.source.tag)


@dataclass(frozen=True)
class Promote(Step):
    """Copy one version registry to registry, by digest, then let ``tags`` name it, in their order."""

    name: ClassVar[str] = "promote"
    source: ImageRef
    target: ImageRef
    tags: tuple[str, ...]
    source_access: RegistryAccess
    target_access: RegistryAccess
    digest: Digest | None = None

    def describe(self) -> str:
        return _("promote {source} to {target}", source=self.source, target=self.target)
