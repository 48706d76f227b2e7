"""Image references and registry values, whatever they are: what parses prints back, the rest is refused.

The oracle reads Docker's grammar (github.com/distribution/reference, the comment in ``reference.go``) letter by letter,
without a regular expression; ``tests/real/test_engine_references.py`` asks a real engine.
"""

from __future__ import annotations

from string import ascii_letters, ascii_lowercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container_pipeline.errors import SettingsError
from container_pipeline.model import Code, ImageRef, Registry, Repository, Version

SMALL, WORD = ascii_lowercase + digits, ascii_letters + digits + "_"


def is_component(text: str) -> bool:
    """path-component := alpha-numeric [separator alpha-numeric]*; a separator is one of . _ __ or dashes."""
    while text:
        rest = text.lstrip(SMALL)
        if rest == text:
            return False
        if not rest:
            return True
        text = rest.lstrip("._-")
        separator = rest[: len(rest) - len(text)]
        if separator not in (".", "_", "__") and separator.strip("-"):
            return False
    return False


def is_path(text: str) -> bool:
    return all(is_component(part) for part in text.split("/"))


def is_tag(text: str) -> bool:
    return 0 < len(text) <= 128 and text[0] in WORD and not text.strip(WORD + ".-")


def is_label(text: str) -> bool:
    known = ascii_letters + digits
    return bool(text) and text[0] in known and text[-1] in known and not set(text) - set(known + "-")


def is_registry(text: str) -> bool:
    domain, slash, path = text.partition("/")
    host, colon, port = domain.partition(":")
    if not all(is_label(label) for label in host.split(".")) or (slash and not is_path(path)):
        return False
    if colon and not (port and len(port) <= 5 and not set(port) - set(digits)):
        return False
    return bool(set(domain) & set(".:")) or domain == "localhost" or domain != domain.lower()


def accepted(kind: type, text: str) -> bool:
    try:
        made = kind(text)
    except SettingsError:
        return False
    assert str(made) == text
    return True


words = st.text(SMALL, min_size=1, max_size=6)
separated = st.builds("".join, st.tuples(st.sampled_from([".", "_", "__", "-", "--", "---"]), words))
components = st.builds(lambda word, more: word + "".join(more), words, st.lists(separated, max_size=3))
paths = st.lists(components, min_size=1, max_size=4).map("/".join)
labels = st.text(ascii_letters + digits + "-", min_size=1, max_size=8).filter(is_label)
domains = st.builds(
    lambda names, port: ".".join(names) + port,
    st.lists(labels, min_size=2, max_size=4),
    st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format)),
)
registries = st.builds(lambda domain, path: domain + path, domains, st.one_of(st.just(""), paths.map("/{}".format)))
tags = st.builds(str.__add__, st.sampled_from(WORD), st.text(WORD + ".-", max_size=127))
#: Texts that are nearly right: right letters in any order, and now and then a wrong one.
nearly = st.text(st.sampled_from("aZ09._-/: \n@$é"), max_size=12)


@given(registries)
def test_every_valid_registry_is_accepted_and_prints_unchanged(text):
    assert is_registry(text)
    registry = Registry(text)
    assert str(registry) == text
    assert "/".join(filter(None, (registry.host, registry.path))) == text


@given(paths)
def test_every_valid_path_is_accepted_and_prints_unchanged(text):
    assert is_path(text)
    assert str(Repository(text)) == text


@given(tags.filter(lambda text: text != "latest"))
def test_every_valid_tag_is_accepted_and_prints_unchanged(text):
    assert is_tag(text)
    assert str(Version(text)) == text


@given(st.one_of(nearly, st.text(max_size=8), paths, registries))
def test_what_the_grammar_refuses_is_refused(text):
    assert accepted(Repository, text) == is_path(text)
    assert accepted(Version, text) == (is_tag(text) and text != "latest")
    assert accepted(Registry, text) == is_registry(text)


@given(registries, paths, tags)
def test_reference_splits_into_the_parts_that_formed_it(registry, path, tag):
    image = ImageRef(Registry(registry), Repository(path), tag)
    name, _colon, last = str(image).rpartition(":")
    assert last == tag
    assert name == image.name == f"{registry}/{path}"
    assert str(image.in_registry(Registry("other.example")).with_tag("x")) == f"other.example/{path}:x"


@given(st.one_of(nearly, components))
def test_every_code_is_an_image_name(text):
    if accepted(Code, text):
        assert is_component(text)


@pytest.mark.parametrize("size", [201, 300])
def test_repository_name_too_long_for_docker_is_refused(size):
    with pytest.raises(SettingsError, match="too long"):
        Repository("a" * size)
