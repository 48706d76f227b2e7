"""A build context is a tar stream without the files in ``.dockerignore``."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from container_pipeline.clients import git
from container_pipeline.errors import BuildError
from container_pipeline.project import context
from container_pipeline.project.context import Ignored, parse
from unit.table import table


def sent(root: Path, *always: str, extra: dict[str, bytes] | None = None) -> dict[str, tarfile.TarInfo]:
    """Return the tar's entries by name."""
    data = b"".join(context.stream(root, Ignored.read(root, always), extra or {}))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {entry.name: entry for entry in archive}


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


@table(
    ("pattern", "path", "out"),
    [
        ("*.log", "a.log", True),
        ("*.log", "sub/a.log", False),
        ("**/*.log", "a.log", True),
        ("**/*.log", "sub/deep/a.log", True),
        ("sub", "sub/a", True),
        ("/sub/", "sub/a", True),
        ("sub/*/x", "sub/a/x", True),
        ("sub/*/x", "sub/a/b/x", False),
        ("sub/**", "sub/a/b", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab].txt", "b.txt", True),
        ("[^ab].txt", "b.txt", False),
        (r"\!important", "!important", True),
        ("# note", "# note", False),
        ("./x/../y", "y", True),
        ("a.c", "abc", False),
    ],
)
def test_a_pattern_means_what_it_means_to_docker(pattern, path, out):
    assert Ignored(parse(pattern))(path) is out


def test_the_last_pattern_that_matches_decides():
    ignored = Ignored(parse("*.md\n!README.md\nREADME.md\n!README*\n"))
    assert [ignored(name) for name in ("NOTES.md", "README.md")] == [True, False]


def test_negated_patterns_reinclude_files_from_ignored_folders(tmp_path):
    write(tmp_path, "node/a", "node/keep/b", "other")
    (tmp_path / ".dockerignore").write_text("node\n!node/keep\n")
    assert set(sent(tmp_path)) == {".dockerignore", "node/keep", "node/keep/b", "other"}


def test_an_ignored_folder_is_not_even_looked_into(tmp_path, monkeypatch):
    write(tmp_path, "node/deep/a", "other")
    (tmp_path / ".dockerignore").write_text("node\n")
    seen = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: seen.append(Path(path).name) or scan(path))
    assert set(sent(tmp_path)) == {".dockerignore", "other"}
    assert "node" not in seen


def test_dockerfile_and_dockerignore_are_sent_whatever_is_ignored(tmp_path):
    write(tmp_path, "Dockerfile", "a")
    (tmp_path / ".dockerignore").write_text("*\n")
    assert set(sent(tmp_path, "Dockerfile", ".dockerignore")) == {"Dockerfile", ".dockerignore"}


def test_links_modes_and_names_survive(tmp_path):
    write(tmp_path, "名 字/é", "run")
    (tmp_path / "run").chmod(0o750)
    (tmp_path / "link").symlink_to("nowhere")
    os.link(tmp_path / "run", tmp_path / "same")
    entries = sent(tmp_path)
    assert entries["run"].mode == 0o750
    assert entries["link"].linkname == "nowhere"
    assert (entries["same"].islnk(), entries["same"].linkname) == (True, "run")
    assert entries["名 字/é"].size == len("名 字/é".encode())
    assert {entry.uid for entry in entries.values()} == {0}


def test_non_utf8_file_names_are_sent_unchanged(tmp_path):
    (tmp_path / os.fsdecode(b"\xff")).write_text("x")
    assert os.fsdecode(b"\xff") in sent(tmp_path)


def test_a_socket_is_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert sent(tmp_path) == {}


def test_a_large_file_is_read_piece_by_piece(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(5 * context.CHUNK + 1)
    pieces = [len(piece) for piece in context.stream(tmp_path, Ignored([]), {})]
    assert max(pieces) == context.CHUNK
    assert sum(pieces) % tarfile.BLOCKSIZE == 0


def test_a_file_truncated_during_reading_fails_the_build(tmp_path):
    (tmp_path / "log").write_bytes(b"x" * (context.CHUNK + 1))
    stream = context.stream(tmp_path, Ignored([]), {})
    next(stream)
    next(stream)
    (tmp_path / "log").write_bytes(b"")
    with pytest.raises(BuildError, match="became shorter"):
        list(stream)


def test_external_dockerfile_is_sent_but_excluded_from_image(tmp_path):
    root = tmp_path / "context"
    write(root, "a", "Dockerfile")
    write(tmp_path, "Dockerfile.ci")
    (root / ".dockerignore").write_text("*.log")
    name, extra = context.place_dockerfile(root, tmp_path / "Dockerfile.ci")
    assert extra[name] == b"Dockerfile.ci"
    assert extra[".dockerignore"].decode().splitlines() == ["*.log", name]
    assert set(sent(root, extra=extra)) == {"a", "Dockerfile", ".dockerignore", name}


def test_a_dockerfile_inside_the_context_stays_in_place(tmp_path):
    assert context.place_dockerfile(tmp_path, tmp_path / "docker" / "Dockerfile") == ("docker/Dockerfile", {})


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder with all that a user without rights may not read below ``closed/``; the test runs as that user."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write(root, "Dockerfile", "closed/inside/file", "listed/file")
        root.chmod(0o755)
        (root / "closed").chmod(0)
        (root / "listed").chmod(0o444)
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            yield root
        finally:
            os.seteuid(before)
            (root / "closed").chmod(0o700)
            (root / "listed").chmod(0o700)


def test_unreadable_folder_error_names_path_and_suggests_dockerignore(nobody):
    for ignore, name in (("listed", "closed"), ("closed", "listed/file")):
        with pytest.raises(BuildError) as refused:
            for _piece in context.stream(nobody, Ignored(parse(ignore)), {}):
                pass
        assert refused.value.message == f"{nobody}/{name} cannot be read: Permission denied"
        assert ".dockerignore" in refused.value.hint
    assert {name for name, _path in context.files(nobody, Ignored(parse("closed\nlisted")))} == {"Dockerfile"}


def test_sources_without_git_report_unreadable_folders(nobody):
    with pytest.raises(BuildError, match="closed cannot be read"):
        git.sources(nobody, nobody / "Dockerfile")


def test_an_ignore_file_may_be_in_any_encoding(tmp_path):
    write(tmp_path, "a", "b")
    (tmp_path / "文件".encode("gbk").decode("utf-8", "surrogateescape")).write_text("x")
    (tmp_path / ".dockerignore").write_bytes("# 注释\na\n文件\n".encode("gbk"))
    assert set(sent(tmp_path)) == {"b", ".dockerignore"}


def test_dockerignore_lines_end_only_where_docker_ends_them():
    assert [pattern.text for pattern in parse("a\x0cb\u2028c\r\nd\n")] == ["a\x0cb\u2028c", "d"]


@pytest.mark.parametrize("pattern", ["[z-a]", "a[", "[]"])
def test_invalid_dockerignore_patterns_are_refused_by_name(pattern):
    with pytest.raises(BuildError) as refused:
        Ignored(parse(f"ok\n{pattern}\n"))
    assert pattern in refused.value.message
    assert ".dockerignore" in refused.value.message
