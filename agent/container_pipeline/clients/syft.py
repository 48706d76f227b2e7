"""Makes the SBOM of an image in a registry with syft, the program; it asks nothing of the internet."""

from __future__ import annotations

from pathlib import Path

from container_pipeline.clients import programs
from container_pipeline.clients.programs import Reference
from container_pipeline.errors import RegistryError
from container_pipeline.i18n import _

#: Seconds; syft reads each file of each layer.
_TIMEOUT = 1800.0


def program() -> str:
    """Return the path of syft; raises SettingsError if it is missing."""
    return programs.find("syft", "sbom")


def write(image: Reference, target: Path) -> None:
    """Write what ``image`` consists of to ``target``, as SPDX's JSON; raises RegistryError."""
    with image.reached() as environ:
        environ["SYFT_CHECK_FOR_APP_UPDATE"] = "false"
        if image.insecure:
            environ["SYFT_REGISTRY_INSECURE_USE_HTTP"] = "true"
        command = [program(), "scan", f"registry:{image.name}", "--output", f"spdx-json={target}"]
        done = programs.finish(command, environ, _TIMEOUT)
    if isinstance(done, str):
        raise RegistryError(
            _("no SBOM of {image} could be made: {reason}", image=image.name, reason=done),
            _("push it again: what has arrived is not sent again"),
        )
