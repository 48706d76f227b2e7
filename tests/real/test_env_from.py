"""Secrets from a real SOPS file reach the container, and nobody else sees them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.watcher import ArgvWatcher
from real.agent import Outcome
from real.site import Site

# Building SOPS takes minutes, the first time on a machine.
pytestmark = pytest.mark.slow

PASSWORD = 'Pa$$w0rd "of" #the\\database'
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7\n-----END KEY-----\n"


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory, gotool: Callable[[str], str]) -> Path:
    """An age key."""
    path = tmp_path_factory.mktemp("age") / "key.txt"
    subprocess.run([gotool("age-keygen"), "-o", path], check=True, capture_output=True)
    return path


@pytest.fixture
def sealed(site: Site, identity: Path, gotool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site without .env, and with its secrets in secrets.json, encrypted."""
    sops = Path(gotool("sops"))
    monkeypatch.setenv("PATH", f"{sops.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(identity))
    public = identity.read_text().partition("public key: ")[2].split()[0]
    (site.folder / ".env").unlink()
    site.write("secrets.json", json.dumps({"DB_PASSWORD": PASSWORD, "PORT": 8080, "KEY": KEY}))
    subprocess.run([sops, "encrypt", "--age", public, "-i", site.folder / "secrets.json"], check=True)
    assert PASSWORD not in (site.folder / "secrets.json").read_text()
    return site


def from_sops(site: Site, *options: str) -> None:
    command = ["sops", "decrypt", *options, "secrets.json"]
    form = "json" if not options else "dotenv"
    keys = {"env_from": {"command": command, "format": form, "inherit": ["SOPS_AGE_KEY_FILE"]}}
    site.write("container-pipeline.yml", json.dumps(keys))


def nothing_shown(done: Outcome, more: str = "") -> bool:
    """Return whether no part of a secret is in the output, in any of three forms."""
    text = "".join((done.out + done.err + more).split())
    parts = ["Pa$$w0rd", "the\\database", *KEY.splitlines()[1:3]]
    forms = [form for part in parts for form in (part, json.dumps(part)[1:-1], part.encode().hex())]
    return not any(form in text for form in [*forms, base64.b64encode(PASSWORD.encode()).decode()[:16]])


def test_sops_secrets_reach_the_container_and_nobody_else(sealed: Site, tmp_path: Path, monkeypatch):
    # A key that is missing touches no server.
    from_sops(sealed, "--output-type", "dotenv")
    version = sealed.publish()
    with monkeypatch.context() as without:
        without.delenv("SOPS_AGE_KEY_FILE")
        done = sealed("deploy", "--version", version)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "env_from: sops failed with exit code" in done.err
    assert "SOPS_AGE_KEY_FILE of `inherit` is not set here" in done.err
    assert sealed.servers[0].run(f"ls -d /docker/compose/{sealed.code} 2>/dev/null || true") == ""

    # The container gets each secret as it is.
    from_sops(sealed)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    with ArgvWatcher(["Pa$$w0rd", "MIIEvQIBADANBgkqhkiG9w0BAQEF"]) as watcher:
        done = sealed("deploy", "--version", version, "-v", "--json")
    assert done.code == 0, done.err
    assert {name: sealed.environment()[name] for name in ("DB_PASSWORD", "PORT", "KEY")} == {
        "DB_PASSWORD": PASSWORD,
        "PORT": "8080",
        "KEY": KEY,
    }
    assert nothing_shown(done, "\n".join(watcher.seen))
    assert done.result["version"] == version
    assert sealed.sh("stat -c %a .env").strip() == "600"
    # On this machine nothing stays: neither in the project nor among temporary files.
    for folder in (sealed.folder, temporary):
        grep = ["grep", "-rlF", "-e", "w0rd", "-e", "MIIEvQIBADANBgkqhkiG9w0BAQEF", folder]
        assert subprocess.run(grep, capture_output=True, check=False).stdout == b""

    # A release command prints them, and fails; its output streams.
    sealed.set("CONTAINER_PIPELINE_RELEASE", "env; echo $DB_PASSWORD >&2; exit 3")
    done = sealed("deploy", "--version", sealed.publish(), "-v", "--json")
    assert done.code == 1, done.err
    assert "| DB_PASSWORD=***" in done.err
    assert nothing_shown(done)
    sealed.unset("CONTAINER_PIPELINE_RELEASE")

    # The new version prints all of its environment and ends.
    done = sealed("deploy", "--version", sealed.publish("prints its environment"), "-v", "--json")
    assert done.code == 3, done.err
    assert "DB_PASSWORD=***" in done.err
    assert nothing_shown(done)
    assert sealed.running() == version
