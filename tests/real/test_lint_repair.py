"""lint --fix on Compose files: afterwards, Compose reads them as before except for the repairs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from container_pipeline.__main__ import main
from container_pipeline.clients import children, linters
from lab.compose import v2_binary
from lab.handle import Lab

IMAGE = "image: ${DOCKER_REGISTRY:-registry.example}/shop-web:${VERSION:-latest}"
SERVICE = f"    {IMAGE}\n    env_file: [.env]\n"

#: Name → Compose file, rules whose repair is left to the person, and a text that stands in the repaired file.
FILES: dict[str, tuple[str, set[str], str]] = {
    "a service under an anchor that another merges": (
        f"version: '3.8'\nservices:\n  shop-web: &app\n{SERVICE}  worker:\n    <<: *app\n    command: [sleep, '3600']\n",
        {"CP202", "CP203", "CP205", "CP206", "CP208", "CP209"},
        "  shop-web: &app\n    image:",
    ),
    "a service under an anchor of its own": (
        f"version: '3.8'\nservices:\n  shop-web: &app\n{SERVICE}",
        set(),
        "\n    restart: unless-stopped\n",
    ),
    "an environment that others share": (
        "version: '3.8'\nservices:\n  shop-web:\n" + SERVICE + "    environment: &all\n      A: b\n"
        "  worker:\n    image: busybox:1\n    environment: *all\n",
        {"CP209"},
        "    environment: &all\n      A: b\n",
    ),
    "an environment by an alias": (
        "version: '3.8'\nx-env: &all\n  - A=b\nservices:\n  shop-web:\n" + SERVICE + "    environment: *all\n",
        {"CP209"},
        "x-env: &all\n  - A=b\n",
    ),
    "a list whose first item is an alias": (
        "version: '3.8'\nx-a: &a A=b\nservices:\n  shop-web:\n"
        + SERVICE
        + "    environment:\n      - *a\n      - C=d\n",
        set(),
        "",
    ),
    "merge keys": (
        "version: '3.8'\nx-base: &base\n  restart: unless-stopped\n  logging: {options: {max-size: 1m}}\n"
        "services:\n  shop-web:\n    <<: *base\n" + SERVICE,
        set(),
        "    <<: *base\n",
    ),
    "flow style": (
        "version: '3.8'\nservices: {shop-web: {" + IMAGE.replace("image: ", "image: '") + "', restart: 'no'}}\n",
        set(),
        "restart: unless-stopped}}",
    ),
    "a byte order mark and Windows' line ends": (
        ("\ufeffservices:\n  shop-web:\n" + SERVICE).replace("\n", "\r\n"),
        set(),
        "\r\n    restart: unless-stopped\r\n",
    ),
    "comments": (
        "# first\nversion: '3.8'\nservices:\n  # the shop\n  shop-web:  # here\n    # its image\n"
        + SERVICE
        + "    # end\n",
        set(),
        "  shop-web:  # here\n    # its image\n",
    ),
    "a name under an anchor": (
        "version: '3.8'\nservices:\n  shop-web:\n" + SERVICE + "    container_name: &name web\n    hostname: *name\n",
        set(),
        "    container_name: &name web\n",
    ),
    "two documents": (f"version: '3.8'\nservices:\n  shop-web:\n{SERVICE}---\nservices: {{}}\n", set(), "---\n"),
    "a tab": (f"version: '3.8'\nservices:\n\tshop-web:\n{SERVICE}", set(), "\tshop-web:"),
    "another name": (f"version: '3.8'\nservices:\n  services: &x\n{SERVICE}", set(), "  shop-web: &x\n"),
    "a nested anchor that has no end": ("services: &a\n  shop-web:\n    x: *a\n", set(), "    x: *a\n"),
}


@pytest.fixture(params=["v2", pytest.param("v1", marks=pytest.mark.matrix)])
def compose(
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Compose of one generation on PATH, as lint finds it."""
    plugins = tmp_path_factory.mktemp("docker") / "cli-plugins"
    if request.param == "v2":
        plugins.mkdir()
        (plugins / "docker-compose").symlink_to(v2_binary())
    monkeypatch.setenv("DOCKER_CONFIG", str(plugins.parent))
    monkeypatch.setattr(children, "TIMEOUT", 60)  # Compose is slow to start on a busy machine
    monkeypatch.setenv("PATH", lab.environment()["PATH"] if request.param == "v2" else "/usr/bin:/bin")
    said = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, check=False).stdout
    assert said.startswith("Docker Compose version v2") is (request.param == "v2")
    for name in ("DOCKER_REGISTRY", "DOCKER_REGISTRY_PROD", "CONTAINER_PIPELINE_SERVERS"):
        monkeypatch.delenv(name, raising=False)


#: Those that v1, which takes a second for each reading, is asked about too.
_BOTH = ("a service under an anchor that another merges", "a byte order mark and Windows' line ends")


@pytest.mark.parametrize(
    ("compose", "name"),
    [*(("v2", name) for name in FILES), *(pytest.param("v1", name, marks=pytest.mark.matrix) for name in _BOTH)],
    indirect=["compose"],
)
@pytest.mark.usefixtures("compose")
def test_compose_reads_a_repaired_file_as_before(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    text, left, stays = FILES[name]
    file = tmp_path / "docker-compose.yml"
    file.write_text(text, encoding="utf-8", newline="")
    (tmp_path / ".env").write_text("ENV=dev\n")
    (tmp_path / "container-pipeline.yml").write_text("code: shop-web\n")
    before = linters.compose_reading(tmp_path, text)
    found = main(["lint", "--fix", "--project", str(tmp_path)])
    shown = capsys.readouterr()
    repaired = file.read_bytes().decode()
    after = linters.compose_reading(tmp_path, repaired)
    assert stays in repaired
    if before is None:
        assert repaired == text
        return
    assert after is not None, repaired
    changed = {"container_name", "hostname", "restart", "logging", "ulimits", "environment", "image", "env_file"}
    own = after["services"].pop("shop-web")
    former = before["services"].pop("services" if name == "another name" else "shop-web")
    assert {key: own.get(key) for key in {*own, *former} - changed} == {
        key: former.get(key) for key in {*own, *former} - changed
    }
    assert after["services"] == before["services"]
    assert {rule for rule in left if f": {rule} is not repaired" in shown.err} == left
    if name == "two documents":  # Compose v1 refuses them
        assert "it holds more than one document" in shown.out
    elif not left and name not in ("flow style", "a list whose first item is an alias", "a name under an anchor"):
        assert not found, shown.out


@pytest.mark.usefixtures("compose")
@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("${DOCKER_REGISTRY:?set it}/shop-web:${VERSION:?set it}", "ENV=dev\n"),
        ("${DOCKER_REGISTRY?set it}/shop-web:${VERSION?set it}", None),
        ("${DOCKER_REGISTRY}/shop-web:${VERSION}", None),
    ],
)
def test_what_a_deploy_brings_is_not_missing(
    text: str, env: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "container-pipeline.yml").write_text("code: shop-web\n")
    (tmp_path / "docker-compose.yml").write_text(
        f"version: '3.5'\nservices:\n  shop-web:\n    image: {text}\n    env_file: [.env]\n"
        '    ports: ["${PORT:?a port}:80"]\n    volumes: ["./data:/data"]\n'
    )
    if env is not None:
        (tmp_path / ".env").write_text(env)
    main(["lint", "--project", str(tmp_path)])
    out = capsys.readouterr().out
    assert "CP200" not in out
    assert "CP204" not in out


@pytest.mark.usefixtures("compose")
def test_another_env_file_that_is_missing_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "docker-compose.yml").write_text(
        f"version: '3.5'\nservices:\n  shop-web:\n    {IMAGE}\n    env_file: [.env, other.env]\n"
    )
    main(["lint", "--project", str(tmp_path)])
    out = capsys.readouterr().out
    assert "CP200" in out
    assert "other.env" in out
