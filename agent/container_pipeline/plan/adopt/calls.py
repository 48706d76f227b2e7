"""Finds the calls of docker.sh, as a shell reads them, and replaces them where possible."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from container_pipeline.plan import groovy
from container_pipeline.plan.image import WORDS

#: The script's name, not as a part of another name.
NAMED = re.compile(r"(?<![\w.-])docker\.sh(?![\w-]|\.\w)")
_HERE = r"(?:\$PWD|\$\{PWD\}|\$\(pwd\)|`pwd`|\$\(CURDIR\)|\\?\$\{?(?:env\.)?WORKSPACE\}?)"
_PATH = rf"[\"']?(?:\./|{_HERE}[\"']?/)?docker\.sh[\"']?"
_SHELL = r"(?:(?:/(?:usr/)?bin/)?(?:ba|da)?sh\s+(?:-[a-z]+\s+)*)?"
_CALL = re.compile(rf"{_SHELL}{_PATH}\s+([a-z][a-z-]*)(?:\s*\|\|\s*(?:exit(?:\s+[1-9]\d*)?|false))?")
#: Commands that only prepare a call.
_SETUP = re.compile(
    rf"""chmod\s+(?:[ugoa]*\+r?w?x|0?[0-7]{{3}})\s+{_PATH} | dos2unix\s+{_PATH} | sed\s+-i\s+(['"])s/\\\\?r\$?//g?\1\s+{_PATH}
    | set\s+-[eux]+(?:o\s+pipefail)? | cd\s+["']?(?:\.|{_HERE})["']? | \#.* | """,
    re.X,
)
#: Documents and lists of names mention the script but do not call it.
_TELLS = re.compile(
    r"(?:.*\.(?:md|rst|adoc|txt|html?)|(?:.*/)?(?:README|CHANGELOG|LICENSE|\.gitignore|\.dockerignore|\.gitattributes))",
    re.I,
)
_JENKINS = re.compile(r"(?:.*/)?(?:Jenkinsfile[^/]*|[^/]*\.[Jj]enkinsfile|[^/]*\.groovy)")
_MAKE = re.compile(r"(?:.*/)?(?:GNUm|[Mm])akefile|.*\.mk")
_SCRIPT = re.compile(r".*\.(?:sh|bash)")
_CI = re.compile(
    r"(?:.*/)?(?:Jenkinsfile[^/]*|[^/]*\.[Jj]enkinsfile|[^/]*\.groovy|\.gitlab-ci\.ya?ml|\.travis\.yml|\.drone\.yml|bitbucket-pipelines\.yml|azure-pipelines\.yml"
    r"|\.github/workflows/[^/]*|\.circleci/[^/]*|Dockerfile[^/]*)"
)


@dataclass(frozen=True)
class Call:
    """A line that still calls the script."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def is_jenkinsfile(name: str) -> bool:
    return bool(_JENKINS.fullmatch(name))


def matters(name: str, text: str) -> bool:
    """Return whether a file may call the script, directly or through another file."""
    return bool(NAMED.search(text) or _CI.fullmatch(name) or _tool(name, text))


def calls(files: Mapping[str, str], script: str) -> list[Call]:
    """Return the lines of ``files`` (path → text) that call ``script``, the path of a docker.sh, without comments and documents.

    A path to another docker.sh in ``files`` belongs to that one. In a file outside of the script's folder, the path must
    include the folder.
    """
    folder, found = posixpath.dirname(script), []
    for name, text in sorted(files.items()):
        if name == script or _TELLS.fullmatch(name):
            continue
        inside = not folder or name.startswith(folder + "/")
        if not inside and not re.search(rf"(?<![\w.-]){re.escape(posixpath.basename(folder))}(?![\w-])", text):
            continue
        bare = groovy.without_comments(text) if is_jenkinsfile(name) else text
        for number, (line, shown) in enumerate(zip(bare.split("\n"), text.split("\n")), 1):
            if not line.lstrip().startswith("#") and _calls(line, name, files, script):
                found.append(Call(name, number, shown.strip()))
    return found


def _calls(line: str, name: str, files: Mapping[str, str], script: str) -> bool:
    for one in NAMED.finditer(line):
        prefix = re.search(r"[\w./-]*\Z", line[: one.start()])
        path = (prefix[0] if prefix else "") + "docker.sh"
        near = {posixpath.normpath(posixpath.join(base, path)) for base in ("", posixpath.dirname(name))}
        if script in near or not any(other in files for other in near):
            return True
    return False


def parts(text: str) -> list[tuple[str, str]] | None:
    """Return a script as ("call", docker.sh's command) and ("other", command), in order; None if uncertain.

    A call is certain if nothing around it can change its meaning: no variable, folder, condition, pipe or argument.
    """
    made: list[tuple[str, str]] = []
    for line in text.split("\n"):
        pieces = [piece.strip() for piece in re.split(r"&&|;", line)] if NAMED.search(line) else [line.strip()]
        for piece in pieces:
            called = _CALL.fullmatch(piece)
            if called and called[1] in WORDS:
                made.append(("call", called[1]))
            elif _SETUP.fullmatch(piece):
                continue
            elif NAMED.search(piece) or not plain(piece):
                return None
            else:
                made.append(("other", piece))
    return made


_STATE = re.compile(
    r"(?:cd|pushd|popd|export|unset|set|source|\.|trap|exec|exit|eval|alias|if|then|else|elif|fi|for|while|until|do|done|case|esac|function|return|umask|ulimit)\b|\w+=|[({})\]]|\.\s"
)


def plain(command: str) -> bool:
    """Return whether a command is independent: other commands of the script depend only on its success."""
    if _STATE.match(command) or command.endswith(("\\", "|", "&", "||", "&&")) or "<<" in command or "\\" in command:
        return False
    return command.count("'") % 2 == 0 and command.count('"') % 2 == 0 and command.count("`") % 2 == 0


def by_command(name: str, text: str, files: Mapping[str, str]) -> str:
    """Return a Makefile, script or package.json with each certain call replaced by `container-pipeline COMMAND`.

    A call that other machines run too is kept, since the command may be missing there.
    """
    if not _tool(name, text) or name in _on_other_machines(files):
        return text
    script = _tool(name, text) == _by_name(name)
    if re.search(r"\b(?:cd|pushd)\b", "\n".join(line for line in text.split("\n") if script or NAMED.search(line))):
        return text
    if any("\n" in (one["text"] or "") and NAMED.search(one["text"]) for one in _TEXTS.finditer(text)):
        return text
    return "\n".join(_lines_by_command(text, posixpath.basename(name) == "package.json"))


def _by_name(name: str) -> str:
    return rf"(?<![\w.-]){re.escape(posixpath.basename(name))}(?![\w-])"


def _tool(name: str, text: str) -> str:
    """Return the pattern of commands that run a Makefile, package.json or script, "" for another file."""
    if _MAKE.fullmatch(name):
        return r"\bmake\b"
    if posixpath.basename(name) == "package.json":
        return r"\b(?:npm|yarn|pnpm)\b"
    return _by_name(name) if _SCRIPT.fullmatch(name) or text.startswith("#!") else ""


def _on_other_machines(files: Mapping[str, str]) -> set[str]:
    """Return the build files of Jenkins, GitLab and others, and the files that they run, directly or not."""
    reached = {name for name in files if _CI.fullmatch(name)}
    tools = {name: tool for name, text in files.items() if (tool := _tool(name, text))}
    new = reached
    while new:
        texts = [files[name] for name in new]
        new = {
            name for name, tool in tools.items() if name not in reached and any(re.search(tool, one) for one in texts)
        }
        reached = reached | new
    return reached


_IN_PLACE = re.compile(
    rf"(?<![\w./$\"'-]){_SHELL}{_PATH}\s+({'|'.join(sorted(WORDS, key=len, reverse=True))})(?=\s*(?:[;&)]|\|\||\\?\"|$))"
)
#: Text before a command that this shell itself runs: the line's beginning, an operator, or a word that runs the rest.
_BEFORE = re.compile(
    r"""(?:^[\s>@+-]* | [;&] | \|\| | (?<![$<>\w])\( | (?<!\$)\{ | ^[^()]*\) | (?:^|\s)!
    | \b(?:then|do|else|elif|if|while|until|time|nohup|exec|command|retry)(?=\s))\s*\Z""",
    re.X,
)
_SCRIPTS_OF_PACKAGE = re.compile(r':\s*"\x00?\Z')
#: Comments and texts of several lines: quoted ones and here-documents may be for another machine or program.
_TEXTS = re.compile(
    r"""(?<![^\s;])\#[^\n]* | \\. | (?P<text>'[^']*' | "(?:\\.|[^"\\])*" | <<-?[ \t]*(["'\\]?)(?P<end>[\w.-]+)[^\n]*\n(?:.*?\n)??[ \t]*(?P=end)(?=\n|\Z))""",
    re.X | re.S,
)


def _lines_by_command(text: str, package: bool) -> Iterator[str]:
    continued = ""
    for line in text.split("\n"):
        before, continued = continued, f"{continued}{line[:-1]} " if line.endswith("\\") else ""
        if not NAMED.search(line) or line.lstrip().startswith("#") or "sudo" in line or re.search(r"\w=\S", line):
            yield line
            continue
        if re.fullmatch(rf"\s*[@-]*chmod\s+(?:[ugoa]*\+x|0?[0-7]{{3}})\s+{_PATH}\s*", line):
            continue
        bare = re.sub(rf"chmod\s+[ugoa]*\+x\s+{_PATH}\s*(?:&&|;)\s*", "", line)
        changed = _by_command(bare, before, package)
        yield line if NAMED.search(changed) else changed


def _by_command(line: str, before: str, package: bool) -> str:
    """Return the line with each call replaced by the command; ``before`` is the text that the line continues."""

    def command(found: re.Match[str]) -> str:
        ahead = before + found.string[: found.start()]
        at_start = _SCRIPTS_OF_PACKAGE.search(ahead) if package else None
        return f"container-pipeline {found[1]}" if at_start or _BEFORE.search(ahead) else found[0]

    opened = re.sub(r'(?<=")(?=(?:(?:ba)?sh )?(?:\./)?docker\.sh)', "\0", line) if package else line
    return _IN_PLACE.sub(command, opened).replace("\0", "")
