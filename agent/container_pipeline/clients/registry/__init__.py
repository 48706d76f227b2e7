"""Registries of the OCI distribution spec, as implemented by distribution 2 and 3, Harbor, Nexus, GitLab and token servers."""

from __future__ import annotations

from container_pipeline.clients.registry.client import RegistryClient
from container_pipeline.clients.registry.manifest import Descriptor, Manifest

__all__ = ["Descriptor", "Manifest", "RegistryClient"]
