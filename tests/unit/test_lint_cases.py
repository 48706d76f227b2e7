"""Files from public bug reports: what Docker, Compose and Groovy accept is no finding, and a repair changes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from container_pipeline.__main__ import main
from container_pipeline.plan import lint
from container_pipeline.plan.lint.dockerfile import Dockerfile
from unit.table import table

END = 'CMD ["a"]\n'

#: Name → text between FROM and CMD, and each instruction as (keyword, first line, last line). Checked with BuildKit's own parser.
DOCKERFILES: dict[str, tuple[str, list[tuple[str, int, int]]]] = {
    "two in one line": ("COPY <<one.txt <<two.txt /data/\nx\none.txt\ny\ntwo.txt\n", [("COPY", 2, 6)]),
    "two of one name": ("COPY <<EOF <<EOF /x/\nfoo\nEOF\nbar\nEOF\n", [("COPY", 2, 6)]),
    "after a continuation": ("RUN true && \\\n    cat <<BAR > /bar\nblah\nBAR\n", [("RUN", 2, 5)]),
    "a comment within": ("RUN true \\\n # c\n\n && cat <<BAR > /bar\nblah\nBAR\n", [("RUN", 2, 7)]),
    "an indented word alike": ("COPY <<EOF /inner\n  EOF\nstill\nEOF\n", [("COPY", 2, 5)]),
    "tabs left out": ("COPY <<-EOF /inner\n\tx\n\t\tEOF\n", [("COPY", 2, 4)]),
    "blanks not left out": ("COPY <<-EOF /inner\n  EOF\nEOF\n", [("COPY", 2, 4)]),
    "escaped word": ("COPY <<-\\EOT /raw\n\techo $HOME\n\tEOT\n", [("COPY", 2, 4)]),
    "quoted word of two": ("COPY <<'E O' /raw\nFOO bar\nE O\n", [("COPY", 2, 4)]),
    "partly quoted word": ('COPY <<E"O"F /raw\nFOO bar\nEOF\n', [("COPY", 2, 4)]),
    "a file descriptor": ("RUN 3<<EOF cat <&3\nFOO bar\nEOF\n", [("RUN", 2, 4)]),
    "a variable as word": ("COPY <<$EOF /x\nfoo\n$EOF\n", [("COPY", 2, 4)]),
    "behind a flag": ("RUN --mount=type=cache,target=/x <<EOF\nfoo\nEOF\n", [("RUN", 2, 4)]),
    "on build": ("ONBUILD RUN <<EOF\nfoo bar\nEOF\n", [("ONBUILD", 2, 4)]),
    "a comment inside": ("RUN <<EOF\n# FOO\n\nbar\nEOF\n", [("RUN", 2, 6)]),
    "a continuation inside": ("RUN <<EOF\nfoo \\\nEOF\n", [("RUN", 2, 4)]),
    "behind quotes": ('RUN echo "it\'s" <<EOF\nfoo\nEOF\n', [("RUN", 2, 4)]),
    "a here-string": ('RUN cat <<< "a b"\n', [("RUN", 2, 2)]),
    "a shift": ("RUN echo $((1<<2)) $(( 1 << 2 ))\n", [("RUN", 2, 2)]),
    "within quotes": ('RUN echo "a <<EOF" "<<EOF"\n', [("RUN", 2, 2)]),
    "in exec form": ('RUN ["cat", "<<EOF"]\n', [("RUN", 2, 2)]),
    "of another instruction": ('LABEL a=<<EOF\nENV X="<<EOF"\n', [("LABEL", 2, 2), ("ENV", 3, 3)]),
    "blanks behind the continuation": ("RUN a \\  \n b\n", [("RUN", 2, 3)]),
    "two backslashes": ("RUN a \\\\\n", [("RUN", 2, 2)]),
    "a word over two lines": ("RUN ec\\\nho x\n", [("RUN", 2, 3)]),
    "small letters": ("copy <<eof /x\nfoo\neof\n", [("COPY", 2, 4)]),
}


@table(
    ("dockerfile", "command", "warned"),
    [
        ('ENTRYPOINT ["python", "app.py"]', "python worker.py", True),
        ('ENTRYPOINT ["python", "app.py"]', "[celery, -A, app]", True),
        ('ENTRYPOINT ["python", "app.py"]', "./worker", True),
        ("ENTRYPOINT gunicorn app:app", "python worker.py", True),
        ('ENTRYPOINT ["tini", "--", "gunicorn"]', "python worker.py", True),
        ('ENTRYPOINT ["python", "manage.py"]', "runworker", False),
        ('ENTRYPOINT ["python", "app.py"]', "--verbose", False),
        ('ENTRYPOINT ["tini", "--"]', "python worker.py", False),
        ('ENTRYPOINT ["/docker-entrypoint.sh"]', "python worker.py", False),
        ('ENTRYPOINT ["/usr/bin/tini", "--", "/entrypoint"]', "python worker.py", False),
        ('ENTRYPOINT ["sh", "/app/start.sh"]', "python worker.py", False),
        ('ENTRYPOINT ["sh", "-c", "exec \\"$@\\"", "x"]', "python worker.py", False),
        ('CMD ["python", "app.py"]', "python worker.py", False),
        ('FROM b AS c\nENTRYPOINT ["python", "app.py"]\nFROM b', "python worker.py", False),
    ],
)
def test_a_worker_command_under_an_entrypoint_is_found(dockerfile, command, warned):
    image = "image: ${DOCKER_REGISTRY:-registry.example}/a-b:${VERSION:-latest}"
    text = f"services:\n  a-b:\n    {image}\n  worker:\n    {image}\n    command: {command}\n"
    facts = lint.Facts(
        code="a-b",
        dockerfile=lint.Source("Dockerfile", f"FROM a:1\n{dockerfile}\n"),
        compose=(lint.Source("docker-compose.yml", text),),
    )
    found = [one for one in lint.check(facts) if one.rule == "CP216"]
    assert [one.line for one in found] == [6] * warned


@table("windows", [False, True])
@table("name", DOCKERFILES)
def test_a_dockerfile_is_read_as_buildkit_reads_it(name, windows):
    text, expected = DOCKERFILES[name]
    text = f"FROM a:1\n{text}{END}"
    source = lint.Source("Dockerfile", "\ufeff" + text.replace("\n", "\r\n") if windows else text)
    found = [(one.keyword, one.first, one.last) for one in Dockerfile(source).instructions]
    last = text.count("\n")
    assert found == [("FROM", 1, 1), *expected, ("CMD", last, last)]
    assert "CP100" not in [one.rule for one in lint.check(lint.Facts(dockerfile=source))]


@table(
    ("head", "works"),
    [
        ("# escape=`\n", True),
        ("\ufeff#Escape = `\r\n", True),
        ("# syntax=docker/dockerfile:1\n# escape=`\n", True),
        ("# a comment\n# escape=`\n", False),
        ("\n# escape=`\n", False),
    ],
)
def test_the_escape_directive_chooses_what_continues_a_line(head, works):
    source = lint.Source("Dockerfile", f"{head}FROM a:1\nRUN dir C:\\\nRUN a `\n  b\n{END}")
    found = [one.keyword for one in Dockerfile(source).instructions]
    assert (found == ["FROM", "RUN", "RUN", "CMD"]) is works


def test_a_here_document_that_never_ends_is_found():
    source = lint.Source("Dockerfile", f"FROM a:1\nCOPY <<EOF /x\nfoo\n EOF\n{END}")
    (found,) = [one for one in lint.check(lint.Facts(dockerfile=source)) if one.rule == "CP100"]
    assert (found.line, found.message) == (2, "the here-document never ends: no line is EOF")


@table(
    "text",
    [
        "COPY <<EOF /run.sh\nsudo apt-get install curl\npip install flask\nEOF\n",
        "RUN cat <<EOF > /notes\nsudo is not here\nEOF\n",
        "RUN python3 <<EOF\nsudo = 1\nEOF\n",
        "RUN <<EOF\n#!/usr/bin/env python3\nsudo = 1\nEOF\n",
        "COPY <<EOF /x\n.env\nid_rsa\nEOF\n",
    ],
)
def test_data_of_a_here_document_is_no_command(text):
    source = lint.Source("Dockerfile", f"FROM a:1\n{text}{END}")
    assert lint.check(lint.Facts(dockerfile=source)) == []


@pytest.mark.parametrize("head", ["RUN <<EOF", "RUN bash -e <<EOF", "RUN /bin/sh <<-'EOF'"])
def test_shell_here_document_is_linted_as_commands(head):
    source = lint.Source("Dockerfile", f"FROM a:1\n{head}\nsudo true\nEOF\n{END}")
    assert [one.rule for one in lint.check(lint.Facts(dockerfile=source))] == ["CP126"]


@table(
    "text",
    [
        "containerPipeline(code: 'shop-web', servers: prod ? mainServers : testServers)",
        "containerPipeline code: 'shop-web',\n    servers: prod ?\n        one :\n        two\nfoo: bar\n",
        "containerPipeline(code: 'shop-web', servers: a ? (b ? c : d) : e, timeout: x ?: y)",
        "containerPipeline(code: 'shop-web', servers: a ? b ? c : d : e)",
        "containerPipeline(code: 'shop-web', approve: env.BRANCH_NAME ==~ /release: .*/ ? yes : no)",
        "containerPipeline(code: 'shop-web', approve: '''a: b, c: 'd' ''', servers: x.collect { y -> y ? z : w })",
        "containerPipeline(code: 'shop-web', servers: a\n  ? b\n  : c,\n  buildArgs: [x: a ? b : c])",
        "def m = prod ? containerPipeline(code: 'shop-web') : other",
        "containerPipeline(code: 'shop-web', approve: \"${a ? \"b: c\" : 'd'}\", keep: n / 2, settle: n / 3)",
        "echo \"containerPipeline(anything: 1)\"\ncontainerPipeline(code: 'shop-web')",
    ],
)
def test_a_choice_is_no_key_of_a_step(text):
    assert lint.check(lint.Facts(code="shop-web", jenkinsfile=lint.Source("Jenkinsfile", text))) == []


@pytest.mark.parametrize("text", ["prod ? a : b, keeep: 3", "x ?: y,\n    'keeep': 3"])
def test_a_wrong_key_behind_a_choice_is_found(text):
    source = lint.Source("Jenkinsfile", f"containerPipeline(code: 'shop-web', servers: {text})")
    assert [one.rule for one in lint.check(lint.Facts(code="shop-web", jenkinsfile=source))] == ["CP503"]


def test_every_step_of_the_library_is_checked():
    vars_folder = Path(__file__).resolve().parents[2] / "vars"
    steps = {path.stem for path in vars_folder.glob("*.groovy")} - {"containerAgent", "containerOptions"}
    source = lint.Source("Jenkinsfile", "".join(f"{step}(cod: 'shop-web')\n" for step in sorted(steps)))
    found = lint.check(lint.Facts(code="shop-web", jenkinsfile=source))
    assert [one.line for one in found if one.rule == "CP503"] == [*range(1, len(steps) + 1)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project where neither Compose nor another linter is there."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "container-pipeline.yml").write_text("code: shop-web\n")
    return folder


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore", ".env", "docker-compose.yml", "requirements.txt"])
@table("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_lint_reports_powershell_encoding_and_saves_utf_8(project, capsys, name, encoding):
    text = {
        "Dockerfile": f"FROM a:1\n{END}",
        "docker-compose.yml": 'version: "3.5"\nservices: {shop-web: {image: a}}\n',
    }.get(name, "ENV=dev\n")
    (project / name).write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert main(["lint", "--project", str(project)]) == 1
    assert f"{name}:1: " in capsys.readouterr().out
    main(["lint", "--fix", "--project", str(project)])
    assert (project / name).read_bytes() == text.encode()


def test_fix_never_writes_files_that_are_not_text(project, capsys):
    data = b"ENV=caf\xe9\nexport A='b'\n"
    (project / ".env").write_bytes(data)
    assert main(["lint", "--fix", "--project", str(project)]) == 1
    assert (project / ".env").read_bytes() == data
    assert "--fix repairs" not in capsys.readouterr().err


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "marked"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_fix_keeps_byte_order_mark_and_line_endings(project, mark, end):
    compose = "services:\n  shop-web:\n    image: ${DOCKER_REGISTRY}/shop-web:${VERSION}\n"
    for name, text in (("Dockerfile", "FROM a:1\nENTRYPOINT a b\n"), ("docker-compose.yml", compose)):
        (project / name).write_text(mark + text.replace("\n", end), encoding="utf-8", newline="")
    main(["lint", "--fix", "--project", str(project)])
    for name, said in (("Dockerfile", 'ENTRYPOINT ["a", "b"]'), ("docker-compose.yml", "restart: unless-stopped")):
        data = (project / name).read_bytes()
        assert said.encode() in data
        assert data.startswith(b"\xef\xbb\xbf") is bool(mark)
        assert data.count(b"\xef\xbb\xbf") == bool(mark)
        assert data.count(b"\n") == data.count(end.encode())
    assert (project / "docker-compose.yml").read_bytes().decode("utf-8-sig").startswith(f'version: "3.5"{end}services:')


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('FROM a:1\nENTRYPOINT run it\nCMD ["x"]\n', "ENTRYPOINT run it\n"),
        ('FROM a:1\nENTRYPOINT ["x"]\nCMD run it\n', "CMD run it\n"),
        ('FROM a:1\nSHELL ["/bin/bash", "-c"]\nCMD run it\n', "CMD run it\n"),
        ("FROM a:1\nCMD source run\n", "CMD source run\n"),
        ("FROM a:1\nCMD run it # well\n", "CMD run it # well\n"),
        ("FROM a:1\nCMD run \\\n# why\n it\n", "# why\n"),
        ('FROM a:1\nRUN pip install a==1 && echo pip install b==1\nCMD ["a"]\n', "echo pip install b==1"),
    ],
)
def test_fix_skips_repairs_that_would_change_meaning(project, text, kept):
    (project / "Dockerfile").write_text(text)
    assert main(["lint", "--fix", "--project", str(project)]) == 1
    assert kept in (project / "Dockerfile").read_text()


def test_a_dry_repair_of_env_shows_no_value(project, capsys):
    (project / ".env").write_text("ENV=dev\nexport DB_PASSWORD='t0ps3cret'\n")
    assert main(["lint", "--fix", "--dry-run", "--project", str(project)]) == 1
    shown = capsys.readouterr()
    assert ".env:2: CP303" in shown.out
    assert "t0ps3cret" not in shown.out + shown.err
