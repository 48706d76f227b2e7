"""The container gets the exact values of .env, with both generations of Compose."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from real.site import Site, both_composes

#: Characters that shells, YAML, Go and Python read specially, more frequent than by chance.
PIECES = (
    "$",
    "${",
    "}",
    "$$",
    "${HOME}",
    "$VERSION",
    "#",
    " #",
    "'",
    '"',
    "\\",
    "\\\\",
    "\\'",
    '\\"',
    "\\n",
    "\\$",
    " ",
    "\t",
    "=",
    "`",
    "é",
    "你",
    "\x1b",
    "\r",
    "\u2028",
    "\x85",
    ":-",
    "%",
    "!",
    ";",
)
VALUES = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.text(st.characters(exclude_characters="\0\n", exclude_categories=("Cs",)), max_size=4),
    ),
    max_size=8,
).map("".join)
AWKWARD = (
    "",
    " ",
    "'",
    '"',
    "\\",
    "a\\",
    "a\\'",
    "'quoted'",
    '"quoted"',
    "a b",
    " a ",
    "#a",
    "a #b",
    "$",
    "$$",
    "${A}",
    "${A:-b}",
    "\\${A}",
    "C:\\\\dir\\new",
    "a'b\"c",
    "x=y",
    "{}",
    "\\\\'",
    "a\\\\",
    "$A$",
    "export A=b",
    "\r x",
    "ends in cr\r x",
)


@pytest.fixture(scope="module")
def compose_projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compose")


def as_file(values: list[str]) -> bytes:
    """The values as a file of a person on Windows, with a comment and blank lines, and with values that the release overrides."""
    lines = (
        "# comment",
        "",
        "  A=1 ",
        "B='x'",
        "ENV=prod",
        "VERSION=1",
        *(f"V{n}={value}" for n, value in enumerate(values)),
    )
    return "".join(["\ufeff", *(f"{line}\r\n" for line in lines)]).encode()


@both_composes
def test_two_hundred_random_values_reach_the_container_unchanged(either: Site, tmp_path: Path):
    batches: list[list[str]] = []

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(st.lists(VALUES, min_size=20, max_size=20))
    def gather(values: list[str]) -> None:
        batches.append(values)

    gather()
    values = [*AWKWARD, *(value for batch in batches for value in batch)]
    # A carriage return before the end of the line belongs to the line, as docker's own --env-file has it.
    values = [value.rstrip("\r") for value in values]
    assert len(values) >= 200
    # A file from credentials replaces the repository's.
    secret = tmp_path / "credentials.env"
    secret.write_bytes(as_file(values))
    version = either.deployed("healthy", "--env-file", str(secret))
    found = either.environment()
    assert {name: found[name] for name in ("A", "B", "ENV", "VERSION")} == {
        "A": "1 ", "B": "'x'", "ENV": "prod", "VERSION": version}  # fmt: skip
    wrong = {value: found.get(f"V{number}") for number, value in enumerate(values) if found.get(f"V{number}") != value}
    assert wrong == {}


BAD = [
    (b"", "is empty"),
    (b"# only a comment\n\n", "is empty"),
    (b"A=1\nSECRETWORD\n", "line 2 is not NAME=value"),
    (b"export SECRETWORD=1\n", "line 1 is not NAME=value"),
    (b"A B=SECRETWORD\n", "line 1 is not NAME=value"),
    (b"SECRETWORD =1\n", "line 1 is not NAME=value"),
    (b"A=1\nB=\xff SECRETWORD\n", "line 2 is not UTF-8"),
    (b"A=SECRET\0WORD\n", "line 1 is not NAME=value"),
    (
        b"COMPOSE_PROJECT_NAME=SECRETWORD\n",
        "line 1: COMPOSE_PROJECT_NAME would make Compose use another project or file",
    ),
]


def test_deploy_refuses_bad_env_files_without_printing_them(site: Site):
    for text, problem in BAD:
        (site.folder / ".env").write_bytes(text)
        done = site("deploy", "--version", "20261124000000", "-v", "--json")
        assert (done.code, problem in done.err) == (1, True), (text, done.err)
        assert "SECRETWORD" not in done.out + done.err
    (site.folder / ".env").unlink()
    done = site("deploy", "--version", "20261124000000")
    assert (done.code, "reads .env, which does not exist" in done.err) == (1, True)
    assert not (site.servers[0].folder / "compose" / site.code).exists()
