"""The real cosign and regctl for tests: one key pair, and the logins of the registries."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from lab.registry import Registry


class Tools:
    """Runs cosign and regctl in a folder with `cosign.key` and `cosign.pub`; ``cosign`` names the generation."""

    def __init__(
        self, gotool: Callable[[str], str], folder: Path, code: str, cosign: str = "cosign", password: str = "x"
    ) -> None:
        self._tool, self._cosign, self.code = gotool, cosign, code
        self.folder = folder / "tools"
        self.folder.mkdir()
        here = str(self.folder)
        self.environment = {**os.environ, "HOME": here, "DOCKER_CONFIG": here, "COSIGN_PASSWORD": password}
        self.new_key("cosign")

    @property
    def path(self) -> str:
        """The folder of cosign."""
        return str(Path(self._tool(self._cosign)).parent)

    def __call__(self, name: str, *arguments: str) -> str:
        program = self._tool(self._cosign if name == "cosign" else name)
        done = subprocess.run(
            [program, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{name} {arguments}: {done.stderr}"
        return done.stdout

    def new_key(self, name: str) -> None:
        self("cosign", "generate-key-pair", "--output-key-prefix", name)

    def login(self, *registries: Registry) -> None:
        logins = {one.address: f"{one.user}:{one.password}".encode() for one in registries}
        auths = {address: {"auth": base64.b64encode(login).decode()} for address, login in logins.items()}
        (self.folder / "config.json").write_text(json.dumps({"auths": auths}))

    def name(self, one: Registry, digest: str) -> str:
        return f"{one.address}/{self.code}@{digest}"

    def sign(self, one: Registry, digest: str, key: str = "cosign", *, old: bool = False) -> None:
        """Sign; ``old``: in the format of cosign 2, also with cosign 3."""
        new = ("--use-signing-config=false", f"--new-bundle-format={str(not old).lower()}")
        new = new if self._cosign == "cosign-3" else ()
        self("cosign", "sign", "--key", f"{key}.key", "--tlog-upload=false", *new, "--yes", self.name(one, digest))

    def verify(self, one: Registry, digest: str, key: str = "cosign") -> None:
        options = ("--insecure-ignore-tlog", "--private-infrastructure")
        self("cosign", "verify", "--key", f"{key}.pub", *options, self.name(one, digest))

    def listed(self, one: Registry, digest: str) -> set[str]:
        """Return the digests that regctl lists as referring to one."""
        self("regctl", "registry", "set", "--tls", "disabled", one.address)
        found = json.loads(self("regctl", "artifact", "list", "--format", "{{json .}}", self.name(one, digest)))
        return {entry["digest"] for entry in found["descriptors"] or ()}
