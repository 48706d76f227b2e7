"""container-pipeline: build, promote and deploy container images by one convention."""

from __future__ import annotations

__version__ = "0.1.0"
