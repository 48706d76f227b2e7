"""The steps of plans. A step says what to do, never how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from container_pipeline.i18n import _
from container_pipeline.model import Digest, ImageRef, RegistryAccess


@dataclass(frozen=True)
class Step:
    """Base of all steps. ``name`` is its name in the result; ``describe`` returns one line for a person."""

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
    """Point a tag in a registry at the manifest of ``source``: one manifest PUT, without the engine.

    ``forward``: leave the tag if it names an image that was built later.
    """

    name: ClassVar[str] = "move-tag"
    source: ImageRef
    tag: str
    access: RegistryAccess
    forward: bool = False

    def describe(self) -> str:
        return _("point {target} at {source}", target=self.source.with_tag(self.tag), source=self.source.tag)


@dataclass(frozen=True)
class Carry(Step):
    """Copy what refers to ``source``, such as signatures, to where ``target`` already is."""

    name: ClassVar[str] = "carry"
    source: ImageRef
    target: ImageRef
    source_access: RegistryAccess
    target_access: RegistryAccess
    left_out: frozenset[Digest] = frozenset()

    def describe(self) -> str:
        return _("copy what refers to {source} to {target}", source=self.source, target=self.target)


@dataclass(frozen=True)
class Promote(Step):
    """Copy one version between registries by digest, then set ``tags`` in order; ``forward`` as in ``MoveTag``."""

    name: ClassVar[str] = "promote"
    source: ImageRef
    target: ImageRef
    tags: tuple[str, ...]
    source_access: RegistryAccess
    target_access: RegistryAccess
    digest: Digest | None = None
    forward: bool = False
    #: Manifests that are not copied, even where they refer to the image.
    left_out: frozenset[Digest] = frozenset()

    def describe(self) -> str:
        return _("promote {source} to {target}", source=self.source, target=self.target)
