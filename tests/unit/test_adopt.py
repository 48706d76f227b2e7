"""Reading a docker.sh, and converting a Jenkinsfile that calls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from container_pipeline.__main__ import main
from container_pipeline.clients import script
from container_pipeline.plan.adopt import adopt, jenkinsfile, rewrite
from unit.table import table

HEAD = "@Library('container-pipeline') _\n\n"


@pytest.fixture(autouse=True)
def shfmt(monkeypatch: pytest.MonkeyPatch) -> None:
    """shfmt on PATH, from the packages that tests are made of."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")


def build(*lines: str) -> str:
    return "BUILD_IMAGE_NAME=shop-web-re\nbuild() {\n" + "\n".join(lines) + "\n}\n"


@table(
    ("line", "values"),
    [
        ("docker build --no-cache $BUILD_DIRECTORY -t x", {}),
        ("docker build -t x .", {"cache": True}),
        (
            "docker build --no-cache -t x -f $BUILD_DIRECTORY/a/Dockerfile $BUILD_DIRECTORY/a",
            {"context": "a", "dockerfile": "Dockerfile"},
        ),
        ("docker build --no-cache -t x --build-arg=A=1 --build-arg B='2 3' .", {"build_args": {"A": "1", "B": "2 3"}}),
        (
            "docker build --no-cache --platform linux/amd64 --label a=b .",
            {"platforms": ["linux/amd64"], "labels": {"a": "b"}},
        ),
        ("docker build --no-cache --secret id=pip,src=$BUILD_DIRECTORY/pip.conf .", {"secrets": {"pip": "pip.conf"}}),
        ("sudo docker build --no-cache \\\n --build-arg A=1 \\\n .", {"build_args": {"A": "1"}}),
    ],
)
def test_options_of_the_build_become_settings(line, values):
    assert adopt(build(line), "folder").values == {"code": "shop-web-re", **values}


def test_computed_build_arguments_are_reported_but_not_adopted():
    found = adopt(build("docker build --no-cache --build-arg REV=$(git rev-parse HEAD) ."), "folder")
    assert "build_args" not in found.values
    assert [note.taken for note in found.notes] == [True, False]
    assert (found.notes[1].first, found.notes[1].last) == (3, 3)


def test_variables_of_the_script_are_put_in():
    found = adopt("TAG_ARG=3.12\n" + build("docker build --no-cache --build-arg BASE=${TAG_ARG:-3.9} ."), "folder")
    assert found.values["build_args"] == {"BASE": "3.12"}


def test_a_password_in_the_script_is_not_repeated():
    found = adopt("BUILD_REGISTRY_PASS=s3cr3t\n" + build("docker build --no-cache ."), "folder")
    assert "s3cr3t" not in str([str(note) for note in found.notes])
    assert "set DOCKER_REGISTRY_PASS in /etc/profile" in str(found.notes[0])


@pytest.mark.parametrize(
    "line",
    [
        "docker build --no-cache --build-arg NPM_TOKEN=s3cr3t .",
        "docker login registry.example -u ci -p s3cr3t",
        "docker run --rm -e DB_PASSWORD=s3cr3t $BUILD_IMAGE",
    ],
)
def test_a_secret_of_the_script_goes_nowhere(line):
    found = adopt(build(line) + f"run() {{\n{line}\n}}\n", "folder")
    assert "***" in str([str(note) for note in found.notes])
    assert "s3cr3t" not in str([str(note) for note in found.notes]) + str(found.values)
    assert not any("s3cr3t" in command for command in found.before)


@table(
    "line",
    [
        "curl -u admin:s3cr3t https://files.example/model.bin -o model.bin",
        "curl -uadmin:s3cr3t https://files.example/model.bin -O",
        "curl --user 'admin:s3cr3t' https://files.example/model.bin -O",
        "curl --user=admin:s3cr3t https://files.example/model.bin -O",
        "curl -H 'Authorization: Bearer s3cr3t' https://files.example/model.bin -O",
        'curl -H "PRIVATE-TOKEN: s3cr3t" https://files.example/model.bin -O',
        "git clone https://ci:s3cr3t@git.example/lib.git",
        "sshpass -p s3cr3t scp ci@files.example:/model.bin .",
        "sshpass -ps3cr3t scp ci@files.example:/model.bin .",
        "mysqldump -u root -ps3cr3t shop",
        "twine upload --password s3cr3t dist/*",
        "twine upload --password='a s3cr3t' dist/*",
        "redis-cli --pass s3cr3t ping",
        "fetch --access-token=s3cr3t",
        "DB_PASS='a s3cr3t' ./migrate.sh",
        "export TOKEN=s3cr3t",
        "API_TOKEN=${API_TOKEN:-s3cr3t} ./fetch.sh",
        "DEPLOY_PASS=s3cr3t\nsshpass -p $DEPLOY_PASS scp ci@files.example:/model.bin .",
    ],
)
def test_commands_with_secrets_are_redacted_and_not_adopted(line):
    inside = adopt(build(line, "docker build --no-cache ."), "folder")
    outside = adopt(f"{line}\n" + build("docker build --no-cache ."), "folder")
    before = adopt("\n".join([*line.split("\n")[:-1], build(line.split("\n")[-1], "docker build ."), ""]), "folder")
    for found in (inside, outside, before):
        assert "***" in str([str(note) for note in found.notes if not note.taken])
        assert "s3cr3t" not in str(found)
        assert found.before == []


@table(
    "line",
    [
        "echo preparing && ./prepare.sh",
        'echo "preparing"; ./prepare.sh',
        "echo yes | ./prepare.sh",
        "then ./prepare.sh",
        "else ./prepare.sh",
        "local REV=$(git rev-parse HEAD)",
    ],
)
def test_commands_joined_to_ignored_words_are_still_reported(line):
    notes = adopt(build("docker build --no-cache .", line), "folder").notes
    assert any(line in note.text for note in notes)


@table(
    "lines",
    [
        ["if [ -f setup.cfg ]; then", "./prepare.sh", "else", "./other.sh", "fi"],
        ["if [ -f setup.cfg ]", "then ./prepare.sh", "fi"],
        ["for one in a b; do", "./prepare.sh $one", "done"],
        ["while read one; do", "./prepare.sh", "done < list"],
    ],
)
def test_conditional_or_looped_commands_are_only_reported(lines):
    found = adopt(build(*lines, "./always.sh", "docker build --no-cache ."), "folder")
    assert found.before == ["./always.sh"]
    assert "./prepare.sh" in str([note.text for note in found.notes if not note.taken])


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("./prepare.sh || exit 1", "./prepare.sh"),
        ("./prepare.sh || true", "./prepare.sh || true"),
        ("if [ -f a ]; then ./prepare.sh; fi", "if [ -f a ]; then ./prepare.sh; fi"),
    ],
)
def test_adopted_commands_keep_their_failure_behaviour(line, taken):
    assert adopt(build(line, "docker build --no-cache ."), "folder").before == [taken]


def test_where_a_secret_belongs_is_told():
    (note,) = [
        note
        for note in adopt(build("curl -u admin:s3cr3t https://x", "docker build --no-cache ."), "folder").notes
        if not note.taken
    ]
    assert (
        note.text
        == "curl -u admin:*** https://x — it contains a secret: store that in Jenkins credentials, and run the command from the Jenkinsfile"
    )


@table(
    "line",
    [
        "mkdir -p model",
        "cp -pr model/ app/",
        "ssh -p 2222 files.example true",
        "curl -u $LOGIN https://files.example/model.bin -O",
        'twine upload --password "$TWINE_PASSWORD" dist/*',
        'curl -H "PRIVATE-TOKEN: ${TOKEN}" https://files.example:8080/a@b -O',
        "docker run --rm -u 1000:1000 node npm ci",
    ],
)
def test_commands_without_secrets_are_adopted_unchanged(line):
    assert adopt(build(line, "docker build --no-cache ."), "folder").before == [line]


def test_commands_using_script_variables_are_not_adopted():
    asks, needs = "REV=$(git rev-parse HEAD)", "./stamp.sh $REV"
    assert adopt(f"{asks}\n" + build(needs, "docker build --no-cache ."), "folder").before == []
    assert adopt(build(asks, needs, "docker build --no-cache ."), "folder").before == []


def test_a_secret_variable_goes_into_no_setting():
    found = adopt("PIP_PASS=s3cr3t\n" + build("docker build --no-cache --build-arg A=$PIP_PASS ."), "folder")
    assert "s3cr3t" not in str(found)


def test_a_name_that_is_the_folders_is_taken():
    assert adopt('BUILD_IMAGE_NAME=$(basename "$PWD")\n', "shop-api-re").values == {"code": "shop-api-re"}


@table("text", ["", "case", "build() {", 'case "$1" in\n', "docker build", "\\\n\\\n", "a() { b; }\n}"])
def test_adopt_reads_malformed_docker_sh_without_crashing(text):
    adopt(text, "folder")


AFTER = "BUILD_NAMESPACE=team\n"
BUILDS = "  docker build --no-cache --build-arg MODE=full .\n"


@table(
    "text",
    [
        'log() { echo "$*"; }\n',
        "log() { echo a; }; \n",
        "function log { echo a; }\n",
        "log ()\n{\n  echo a\n}\n",
        "function log\n{\n  echo a\n}\n",
        "log() {\n  [ -f a ] || {\n    echo b\n  }\n}\n",
        "log() {\n  (\n    cd b\n  )\n}\n",
        "log() (\n  cd b\n)\n",
        'log() {\n  cat <<EOF\n}\ncase ( "\nEOF\n}\n',
        "log() {\n  cat <<-'END' | sed s/a/b/\n\t}\n\tEND\n}\n",
        "log() {\n  awk '{\n    print\n  }' file\n}\n",
        'log() {\n  echo "a\n}\nb"\n}\n',
        "log() {\n  x=$(\n    ls\n  )\n}\n",
        "log() {\n  case $2 in\n    a) echo b ;;\n  esac\n}\n",
        "log() {\n  for x in a; do { echo b; }; done\n}\n",
        "log() {\n  echo a # it's {\n}\n",
        "log() { # it's one\n  echo ${A:-{}} $#\n}\n",
        'if [ -z "$X" ]; then exit 1; fi\n',
        'if [ -z "$X" ]\nthen\n  BUILD_NAMESPACE=wrong\nfi\n',
        "for x in a b; do\n  BUILD_NAMESPACE=wrong\ndone\n",
        "while read x; do BUILD_NAMESPACE=wrong; done < list\n",
        "(\n  BUILD_NAMESPACE=wrong\n)\n",
        "{\n  echo a\n} > log\n",
        "cat > x <<EOF\nBUILD_NAMESPACE=wrong\nEOF\n",
        "echo $((1<<2))\n",
        'TEXT="\nBUILD_NAMESPACE=wrong\n"\n',
        "case $X in\n  a) BUILD_NAMESPACE=wrong ;;\nesac\n",
        "set -e \\\n  -u\n",
    ],
)
def test_adopt_reads_settings_after_any_statement(text):
    """Checked by a shell, too: what the table holds is complete."""
    whole = f"#!/bin/bash\n{text}BUILD_IMAGE_NAME=shop-web\n{AFTER}build() {{\n{BUILDS}}}\n"
    assert subprocess.run(["bash", "-n"], input=whole.encode(), check=False).returncode == 0
    found = adopt(whole, "folder")
    tree = script.statements(whole)
    assert vars(adopt(whole, "folder", tree)) == vars(found)
    assert found.values == {"code": "shop-web", "namespace": "team", "build_args": {"MODE": "full"}}
    assert found.before == []


@table(
    "statement",
    [
        '[ -f VERSION ] || {\n    echo "no VERSION"\n    exit 1\n  }',
        "cat > made <<EOF\nx\nEOF",
        "(\n    cd sub\n    ./prepare.sh\n  )",
        "./prepare.sh 'a\nb'",
        "x=$(\n    ls\n  )",
        "if [ -f a ]; then {\n    ./prepare.sh\n  }; fi",
        "cd . && docker build . -t x",
        "./prepare.sh |\n    cat",
        "./prepare.sh &&\n    ./more.sh",
        "cat <<EOF | sort\nx\nEOF",
    ],
)
def test_unsupported_statements_are_reported_in_full(statement):
    text = f"BUILD_IMAGE_NAME=shop-web\nbuild() {{\n  {statement}\n{BUILDS}}}\n"
    assert subprocess.run(["bash", "-n"], input=text.encode(), check=False).returncode == 0
    tree = script.statements(text)
    found = adopt(text, "folder")
    assert [str(note) for note in adopt(text, "folder", tree).notes] == [str(note) for note in found.notes]
    assert found.before == []
    assert found.values == {"code": "shop-web", "build_args": {"MODE": "full"}}
    named = {line for note in found.notes if not note.taken for line in range(note.first, note.last + 1)}
    assert 3 in named
    assert max(named) == 3 + statement.count("\n")


@table("rest", [" && ./after.sh", "; ./after.sh", " | tee log", " || ./after.sh", " > log && ./after.sh"])
def test_what_stands_behind_the_build_is_named(rest):
    found = adopt(build(f"docker build --no-cache --build-arg MODE=full .{rest}"), "folder")
    assert found.values["build_args"] == {"MODE": "full"}
    assert found.values.get("context") is None
    assert rest.split()[-1] in str([note.text for note in found.notes if not note.taken])


@pytest.mark.parametrize(
    "failure", [" || exit 1", ' || {\n    echo "failed" >&2\n    exit 1\n  }', " || { echo failed; return 1; }"]
)
def test_handlers_that_exit_on_build_failure_are_adopted(failure):
    found = adopt(build(f"docker build --no-cache --build-arg MODE=full .{failure}"), "folder")
    assert [note.taken for note in found.notes] == [True, True]


@table("label", ['"build")', "'build')", "(build)", "build | other)"])
def test_adopt_reads_case_labels_in_every_form(label):
    found = adopt(f'case "${{1:-}}" in\n{label}\n  smoke\n  build\n  ;;\nesac\n', "folder")
    assert "build: smoke → build — container-pipeline runs build" in str([note.text for note in found.notes])


def test_an_arm_that_is_not_understood_is_named():
    found = adopt('case "$1" in\n$FOO)\n  smoke\n  ;;\nbuild) build ;;\nesac\nBUILD_IMAGE_NAME=x\n', "folder")
    assert [note.first for note in found.notes if not note.taken] == [2, 3, 4]
    assert found.values == {"code": "x"}


def test_a_pipeline_in_another_order_is_told():
    text = 'case "$1" in\npipeline)\n  build\n  smoke_test\n  push\n  ;;\nesac\n'
    notes = [str(note) for note in adopt(text, "folder").notes]
    assert len(notes) == 1
    assert "pipeline: build → smoke-test → push — container-pipeline runs build-when-necessary → push" in notes[0]


def test_a_jenkinsfile_of_its_own_is_one_call():
    assert jenkinsfile("shop-web-re", []) == HEAD + "containerPipeline(code: 'shop-web-re')\n"


def test_rewriting_a_jenkinsfile_changes_only_docker_sh_calls():
    old = (
        "pipeline {\n    agent { label 'docker' }\n    stages {\n        stage('All') {\n            steps {\n"
        "                sh './docker.sh pipeline-all'\n                echo 'done'\n            }\n        }\n    }\n}\n"
    )
    new = HEAD + old.replace("sh './docker.sh pipeline-all'", "containerPipeline(code: 'shop-web-re')")
    assert rewrite(old, "shop-web-re", []) == new
    assert rewrite(new, "shop-web-re", []) == new


def test_commands_become_steps_and_redundant_ones_are_removed():
    old = "node {\n  sh 'bash docker.sh build'\n  sh \"./docker.sh tag-latest\"\n  sh(script: './docker.sh push-prod')\n}\n"
    new = "node {\n  containerBuild(code: 'x')\n  containerPromote(code: 'x')\n}\n"
    assert rewrite(old, "x", []) == HEAD + new


def test_adopt_refuses_a_project_without_docker_sh(tmp_path, capsys):
    assert main(["adopt", "--project", str(tmp_path)]) == 1
    assert "has no docker.sh — `container-pipeline init` is for projects without one" in capsys.readouterr().err


#: Complete statements of bash, of every form that begins or ends somewhere unexpected.
PIECES = [
    'log() { echo "$*"; }',
    "x() {\n  echo a\n}",
    "[ -f a ] || {\n  echo b\n}",
    "(\n cd x\n)",
    'cat <<EOF\n}\n"\nEOF',
    "if a; then\n  b\nfi",
    "if a; then b; fi",
    "for i in 1 2; do\n  echo $i\ndone",
    "while read l; do echo $l; done < f",
    "case $x in\n a) b;;\n (c) d ;;\nesac",
    "case $x in a) b;; esac",
    'echo "multi\nline"',
    "echo 'it\n is'",
    "# it's a comment {",
    "a && {\n b\n} || c",
    "f=$(\n ls | {\n cat\n}\n)",
    'echo ${x:-"}"} # {',
    "trap '{ echo; }' EXIT",
    "[[ $a =~ ^(b|c)$ ]] && d",
    "select x in a; do\n break\ndone",
    "until a; do b; done",
    "y() (\n a\n)",
    "echo a \\\n  b",
    "echo \\{ \\\" \\'",
    "x=(a b\n c)",
    "export A=b",
    "((i++))",
    "a |\n b",
    "a ||\n b",
    "echo $'it\\'s'",
    "function z { a; }",
    "z2 () { a\n}",
    "if a\nthen\n b\nelse\n c\nfi > f",
    "{ a; b; }",
    "! a",
    "time { a; }",
    "w() { if a; then b; fi; }",
    "q() {\n  case $1 in\n  a) b ;;\n  esac\n}",
    'echo `a "b"`',
    'echo "$(a "b c")"',
    'echo "${x#"y"}"',
    'let "a = b"',
    "coproc { a; }",
    "v() { a; } # c\n",
    "u() { local x; x=$(cat <<E\n)\nE\n); }",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(st.sampled_from(PIECES), max_size=4), inside=st.lists(st.sampled_from(PIECES), max_size=3))
def test_any_statements_around_hide_nothing(before, inside):
    """What is taken over is the same whatever stands around it, and each command is one that a shell takes."""
    around, within = "\n".join(before), "\n".join(f"  {piece}" for piece in inside)
    text = f"{around}\nBUILD_IMAGE_NAME=shop\nbuild() {{\n{within}\n{BUILDS}}}\n{AFTER}"
    found = adopt(text, "folder")
    assert found.values == {"code": "shop", "namespace": "team", "build_args": {"MODE": "full"}}
    assert all(script.parses(command, "bash") for command in found.before)
