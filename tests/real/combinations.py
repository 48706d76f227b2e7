"""Every combination of deploy settings is refused by name before any change, or shown by a test."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

#: The test on real parts, once for each mode; and the one that shows that an environment changes nothing of what goes to a server.
RUN_BY = "real/test_combinations.py::test_every_combination_that_is_not_refused_runs"
SAME_BY = "unit/test_combinations.py::test_an_environment_brings_the_same_release"
MODES = ("compose-v2", "compose-v1", "swarm")


@dataclass(frozen=True)
class Combination:
    mode: str
    sudo: bool
    strategy: str
    environment: bool
    files: bool

    @property
    def refused(self) -> str:
        """Return the text of the refusal, "" if it is deployed."""
        return (
            "`strategy: start-first` is not for Swarm" if (self.mode, self.strategy) == ("swarm", "start-first") else ""
        )

    @property
    def test(self) -> str:
        """Return the test that shows that it works."""
        return RUN_BY if self.environment == self.files else SAME_BY

    def project(self, code: str, server: str, content: str) -> dict[str, str]:
        """Return the files of such a project by their names; ``content`` is that of the mounted one."""
        target = f"deploy@{server}" if self.sudo else server
        settings = f"code: {code}\nmode: {'swarm' if self.mode == 'swarm' else 'compose'}\nstrategy: {self.strategy}\n"
        settings += f"sudo: {str(self.sudo).lower()}\nfiles: [{'page' if self.files else ''}]\n"
        own = f"servers: [{target}], env_file: test.env"
        settings += f"environments: {{test: {{{own}}}}}\n" if self.environment else f"servers: [{target}]\n"
        compose = f"""\
version: "3.5"
services:
  {code}:
    image: ${{DOCKER_REGISTRY:-x}}/{code}:${{VERSION:-latest}}
    env_file: [.env]
"""
        compose += "    volumes: ['./page:/page:ro']\n" if self.files else ""
        compose += "    deploy: {update_config: {parallelism: 0, monitor: 500ms}}\n" if self.mode == "swarm" else ""
        return {
            "container-pipeline.yml": settings,
            "docker-compose.yml": compose,
            ("test.env" if self.environment else ".env"): "ENV=of the test\n",
            "page": content,
        }


COMBINATIONS = [
    Combination(*cell)
    for cell in itertools.product(MODES, (False, True), ("recreate", "start-first"), (False, True), (False, True))
]
