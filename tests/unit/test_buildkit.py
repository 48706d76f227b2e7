"""BuildKit's plain progress, and the configuration that its client gets for one call."""

from __future__ import annotations

import base64
import io
import json

import pytest

from container_pipeline.clients import engine
from container_pipeline.clients.buildkit import BuildKit, PlainLog, _with_logins
from container_pipeline.clients.engine import BuildLog, BuildOptions
from container_pipeline.console import Console
from container_pipeline.errors import BuildError
from container_pipeline.model import ImageRef, Registry, RegistryAccess, Repository, Secret
from unit.test_strangers import nothing_left

#: As docker 20.10 and as buildx print a failing step.
OLD = """\
#1 [internal] load build definition from Dockerfile
#5 [1/2] FROM docker.io/library/busybox:latest
#6 [2/2] RUN echo one; echo two; exit 3
#6 sha256:886a911e02e847893690e4765f433488a4f77796887ad074110652021fe77fec
#6 0.158 one
#6 0.159 two
#6 ERROR: executor failed running [/bin/sh -c echo one; echo two; exit 3]: exit code: 3
------
 > [2/2] RUN echo one; echo two; exit 3:
------
executor failed running [/bin/sh -c echo one; echo two; exit 3]: exit code: 3
"""
NEW = """\
#6 [stage-1 2/2] RUN echo one; echo two; exit 3
#6 0.158 one
#6 0.159 two
#6 ERROR: process "/bin/sh -c echo one; echo two; exit 3" did not complete successfully: exit code: 3
------
 > [stage-1 2/2] RUN echo one; echo two; exit 3:
0.158 one
0.159 two
------
Dockerfile:2
--------------------
   2 | >>> RUN echo one; echo two; exit 3
--------------------
ERROR: failed to solve: process "/bin/sh -c echo one; echo two; exit 3" did not complete successfully: exit code: 3
View build details: docker-desktop://dashboard/build/default/default/abc
"""


def console() -> Console:
    return Console(stream=io.StringIO(), out=io.StringIO())


@pytest.mark.parametrize("text", [OLD, NEW])
def test_build_errors_show_step_output_and_exit_code(text):
    log = PlainLog(console())
    for line in text.splitlines():
        log.see(line)
    error = log.error(1)
    assert error.message == "the build failed in RUN echo one; echo two; exit 3: exit code 3"
    assert error.details == ("one", "two")


def test_dockerfile_parse_errors_show_buildkits_message():
    log = PlainLog(console())
    log.see("#1 [internal] load build definition from Dockerfile")
    log.see("failed to solve with frontend dockerfile.v0: dockerfile parse error line 1: unknown instruction: FORM")
    assert "unknown instruction: FORM" in log.error(1).message


def test_only_steps_and_their_output_are_shown():
    shown = console()
    log = PlainLog(shown)
    for line in OLD.splitlines():
        log.see(line)
    assert isinstance(shown.stream, io.StringIO)
    assert shown.stream.getvalue().splitlines() == [
        "#5 [1/2] FROM docker.io/library/busybox:latest",
        "#6 [2/2] RUN echo one; echo two; exit 3",
        "#6 0.158 one",
        "#6 0.159 two",
    ]


def test_the_engines_own_builder_tells_the_same():
    log = BuildLog(console())
    log.see({"stream": "Step 1/2 : FROM busybox\n"})
    log.see({"stream": " ---> a7e62c176a9c\n"})
    log.see({"stream": "Step 2/2 : RUN echo one; exit 3\n"})
    log.see({"stream": " ---> Running in 1c8cc7b533e3\n"})
    log.see({"stream": "one\n"})
    with pytest.raises(BuildError) as caught:
        log.see({"errorDetail": {"code": 3, "message": "…"}, "error": "The command returned a non-zero code: 3"})
    assert caught.value.message == "the build failed in RUN echo one; exit 3: exit code 3"
    assert caught.value.details == ("one",)


def test_adding_a_login_keeps_the_users_docker_config(tmp_path):
    own = tmp_path / "config.json"
    own.write_text(json.dumps({"auths": {"hub.example": {}}, "credsStore": "pass", "proxies": {"default": {}}}))
    access = RegistryAccess("development", Registry("dev.example:5000/team"), "me", Secret("p:w"))
    assert _with_logins(own, [access]) == {
        "auths": {"hub.example": {}, "dev.example:5000": {"auth": base64.b64encode(b"me:p:w").decode()}},
        "credHelpers": {"hub.example": "pass"},
        "proxies": {"default": {}},
    }


def test_docker_client_gets_build_arguments_without_exposing_secrets(tmp_path, monkeypatch):
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\n/usr/bin/env > {tmp_path}/seen\necho "$@" > {tmp_path}/arguments\n')
    program.chmod(0o755)
    monkeypatch.setenv("DOCKER_REGISTRY_PROD_PASS", "very secret")
    monkeypatch.setenv("JENKINS_TOKEN", "very secret")
    monkeypatch.setenv("COSIGN_PASSWORD", "very secret")
    monkeypatch.setenv("CONTAINER_PIPELINE_WEBHOOK", "very secret")
    monkeypatch.setenv("AWS_PROFILE", "a helper's")
    options = BuildOptions("Dockerfile", arguments={"INDEX": "https://user:token@pypi.example"})
    image = ImageRef(Registry("dev.example"), Repository("web"), "20261124093015")
    BuildKit(str(program), console()).build(tmp_path, image, options, {})
    seen = (tmp_path / "seen").read_text().splitlines()
    assert "very secret" not in str(seen)
    assert {"INDEX=https://user:token@pypi.example", "AWS_PROFILE=a helper's", "DOCKER_BUILDKIT=1"} <= set(seen)
    assert "token" not in (tmp_path / "arguments").read_text()


def test_logins_reach_the_docker_client_without_a_file(tmp_path, monkeypatch):
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\ncat "$DOCKER_CONFIG/config.json" > {tmp_path}/read\nfind "$DOCKER_CONFIG" -type f > {tmp_path}/files\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    access = RegistryAccess("development", Registry("dev.example"), "me", Secret("pw"))
    image = ImageRef(Registry("dev.example"), Repository("web"), "20261124093015")
    BuildKit(str(program), console()).build(tmp_path, image, BuildOptions("Dockerfile", logins=(access,)), {})
    assert json.loads((tmp_path / "read").read_text())["auths"] == {"dev.example": {"auth": "bWU6cHc="}}
    assert (tmp_path / "files").read_text() == ""


@pytest.mark.parametrize(
    "body",
    ["echo '#5 [1/2] RUN a'; sleep 600", "while :; do echo '#5 0.1 .'; sleep 0.05; done"],
    ids=["silent", "endless"],
)
def test_buildkit_builds_that_never_finish_are_aborted(tmp_path, monkeypatch, body):
    monkeypatch.setattr(engine, "QUIET", 0.3)
    monkeypatch.setattr(engine, "LONGEST", 0.5)
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/groups\n{body}\n")
    program.chmod(0o755)
    image = ImageRef(Registry("dev.example"), Repository("web"), "20261124093015")
    with pytest.raises(BuildError, match="the build failed: the engine stopped responding") as caught:
        BuildKit(str(program), console()).build(tmp_path, image, BuildOptions("Dockerfile"), {})
    assert "restart it if it hangs" in caught.value.hint
    assert nothing_left(tmp_path)


def test_lines_of_buildkit_are_read_whatever_they_hold(tmp_path):
    program = tmp_path / "docker"
    program.write_text(
        "#!/bin/sh\nprintf '#1 0.1 a\\r\\n#1 0.2 \\377b\\n#1 0.3 '; head -c 200000 /dev/zero | tr '\\0' x; printf '\\nlast'\n"
    )
    program.chmod(0o755)
    shown = io.StringIO()
    image = ImageRef(Registry("dev.example"), Repository("web"), "20261124093015")
    said = Console(verbosity=1, stream=shown, out=io.StringIO())
    BuildKit(str(program), said).build(tmp_path, image, BuildOptions("Dockerfile"), {})
    lines = shown.getvalue().splitlines()
    assert [line.strip() for line in lines[:2]] == ["#1 0.1 a", "#1 0.2 \ufffdb"]
    assert sum(line.count("x") for line in lines) == 200_000
    assert lines[-1].strip() == "last"


@pytest.mark.parametrize(
    ("attest", "flags"),
    [
        ("true", []),
        ("false", ["--provenance=false", "--sbom=false"]),
        ("provenance", ["--provenance=true", "--sbom=false"]),
    ],
)
@pytest.mark.parametrize("knows", [True, False], ids=["buildx", "older client"])
def test_attestations_are_chosen_where_the_client_makes_them(tmp_path, monkeypatch, knows, attest, flags):
    program = tmp_path / "docker"
    told = "--secret --provenance" if knows else "--secret"
    program.write_text(f'#!/bin/sh\n[ "$2" = --help ] && echo "{told}" && exit\necho "$@" > {tmp_path}/arguments\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = BuildKit.find(console())
    assert found is not None
    image = ImageRef(Registry("dev.example"), Repository("web"), "20261124093015")
    found.build(tmp_path, image, BuildOptions("Dockerfile"), {}, attest=attest)
    given = (tmp_path / "arguments").read_text().split()
    assert [word for word in given if "provenance" in word or "sbom" in word] == (flags if knows else [])
