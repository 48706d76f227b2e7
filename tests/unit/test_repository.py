"""Requirements of Jenkins on the library's repository."""

from __future__ import annotations

import configparser
import subprocess

from tools import keys, links


def test_a_symbolic_link_is_named(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("../file")
    assert links.links(tmp_path) == ["folder/link"]


def test_the_repository_has_no_symbolic_link():
    assert links.links() == []


def test_library_and_agent_have_the_same_job_dsl():
    assert keys.JOB_DSL.read_bytes() == keys.CARRIED_JOB_DSL.read_bytes(), "run: make agent"


def test_the_extras_are_what_the_pinned_environment_has():
    extras = configparser.ConfigParser()
    extras.read(keys.ROOT / "setup.cfg", encoding="utf-8")
    named = " ".join(extras["options.extras_require"].values()).split()
    pinned = (keys.ROOT / "requirements/dev.in").read_text().split("\n")
    assert sorted({*named} - {"container-pipeline[test]"}) == sorted(
        line for line in pinned if line and not line.startswith(("#", "-r"))
    )
