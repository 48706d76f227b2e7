"""Forms in which public repositories call a script such as docker.sh: each is carried over, or named and the script kept."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from container_pipeline.__main__ import main
from container_pipeline.plan import groovy
from container_pipeline.plan.adopt import rewrite
from unit.table import table

SCRIPT = """#!/bin/bash
BUILD_IMAGE_NAME=shop-web
build() {
  docker build --no-cache --force-rm . -t $BUILD_REGISTRY/$BUILD_IMAGE:$BUILD_VERSION
}
case "$1" in
build)
  build
  ;;
esac
"""
BUILD, PUSH, PROMOTE = (f"container{step}(code: 'shop-web')" for step in ("Build", "Push", "Promote"))
FLOW, DEVELOPMENT = "containerPipeline(code: 'shop-web')", "containerPipeline(code: 'shop-web', promote: false)"
HEAD = "@Library('container-pipeline') _\n\n"


def steps(body: str) -> str:
    return f"pipeline {{\n    agent any\n    stages {{\n        stage('Image') {{\n            steps {{\n{body}            }}\n        }}\n    }}\n}}\n"


#: Name → file, its text, and what becomes of it; None where the call is named and docker.sh stays.
FORMS: dict[str, tuple[str, str, str | None]] = {
    "a line of a declarative stage": (
        "Jenkinsfile",
        steps("                sh './docker.sh pipeline-all'\n"),
        steps(f"                {FLOW}\n"),
    ),
    "a block of several lines": (
        "Jenkinsfile",
        steps(
            "                sh '''\n                    chmod +x docker.sh\n                    ./docker.sh pipeline\n                '''\n"
        ),
        steps(f"                {DEVELOPMENT}\n"),
    ),
    "chmod in a statement of its own": (
        "Jenkinsfile",
        steps(
            "                sh 'chmod +x ./docker.sh'\n                sh './docker.sh build'\n                sh './docker.sh push'\n"
        ),
        steps(f"                {BUILD}\n                {PUSH}\n"),
    ),
    "chmod alone in its stage": (
        "Jenkinsfile",
        "node {\n  stage('Prepare') {\n    sh 'chmod 777 docker.sh'\n  }\n  stage('Build') {\n    sh 'bash docker.sh build'\n  }\n}\n",
        "node {\n  stage('Prepare') {\n    echo 'container-pipeline does this already'\n  }\n"
        f"  stage('Build') {{\n    {BUILD}\n  }}\n}}\n",
    ),
    "a scripted stage on one line": (
        "Jenkinsfile",
        "node { checkout scm; stage('Image') { sh './docker.sh build' } }\n",
        f"node {{ checkout scm; stage('Image') {{ {BUILD} }} }}\n",
    ),
    "several commands in one string": (
        "Jenkinsfile",
        'node {\n  sh "chmod +x docker.sh && ./docker.sh build && ./docker.sh push"\n}\n',
        f"node {{\n  {BUILD}\n  {PUSH}\n}}\n",
    ),
    "another command before it": (
        "Jenkinsfile",
        "node {\n  sh 'npm ci && ./docker.sh build'\n}\n",
        f"node {{\n  sh 'npm ci'\n  {BUILD}\n}}\n",
    ),
    "other commands around it": (
        "Jenkinsfile",
        "node {\n  sh '''\n    npm ci\n    npm test\n    bash -e docker.sh build || exit 1\n    ls -l\n  '''\n}\n",
        f"node {{\n  sh '''npm ci\nnpm test'''\n  {BUILD}\n  sh '''ls -l'''\n}}\n",
    ),
    "by the workspace's path": (
        "Jenkinsfile",
        "node {\n  sh '\"$WORKSPACE/docker.sh\" build'\n  sh \"${WORKSPACE}/docker.sh push\"\n  sh(script: '$PWD/docker.sh push-prod', label: 'Promote')\n}\n",
        f"node {{\n  {BUILD}\n  {PUSH}\n  {PROMOTE}\n}}\n",
    ),
    "a condition without braces": (
        "Jenkinsfile",
        "node {\n  if (env.BRANCH_NAME == 'main')\n    sh './docker.sh push-prod'\n  else\n    sh './docker.sh push'\n}\n",
        f"node {{\n  if (env.BRANCH_NAME == 'main')\n    {PROMOTE}\n  else\n    {PUSH}\n}}\n",
    ),
    "within credentials, a retry and a comment": (
        "ci/Jenkinsfile",
        "#!groovy\nnode {\n  // ./docker.sh build\n  withCredentials([usernamePassword(credentialsId: 'r', usernameVariable: 'U', passwordVariable: 'P')]) {\n"
        "    retry(3) { sh './docker.sh push' } // docker.sh\n  }\n}\n",
        f"#!groovy\n{HEAD}node {{\n  // ./docker.sh build\n  withCredentials([usernamePassword(credentialsId: 'r', usernameVariable: 'U', passwordVariable: 'P')]) {{\n"
        f"    retry(3) {{ {PUSH} }} // docker.sh\n  }}\n}}\n",
    ),
    "Windows' line ends and a library of its own": (
        "Jenkinsfile",
        "@Library('ours') _\r\nnode {\r\n  sh './docker.sh build'\r\n}\r\n",
        f"{HEAD}@Library('ours') _\nnode {{\n  {BUILD}\n}}\n".replace("\n", "\r\n"),
    ),
    "a block for bash": (
        "Jenkinsfile",
        "node {\n  sh '''#!/bin/bash -e\n    ./docker.sh build\n  '''\n}\n",
        f"node {{\n  {BUILD}\n}}\n",
    ),
    "a rule of a Makefile": (
        "Makefile",
        ".PHONY: image\nimage:\n\t@chmod +x docker.sh\n\t@./docker.sh build\n\nrelease: image\n\t/bin/bash docker.sh push && echo done\n",
        ".PHONY: image\nimage:\n\t@container-pipeline build\n\nrelease: image\n\tcontainer-pipeline push && echo done\n",
    ),
    "a script that releases": (
        "release.sh",
        "#!/bin/bash\nset -e\nrelease() {\n  ./docker.sh build || exit 1\n  retry ./docker.sh push\n  git tag x\n}\nrelease\n",
        "#!/bin/bash\nset -e\nrelease() {\n  container-pipeline build || exit 1\n  retry container-pipeline push\n  git tag x\n}\nrelease\n",
    ),
    "a script of package.json": (
        "package.json",
        '{"scripts": {"image": "./docker.sh build", "release": "npm test && bash docker.sh push"}}\n',
        '{"scripts": {"image": "container-pipeline build", "release": "npm test && container-pipeline push"}}\n',
    ),
    "another script of the same name": ("Makefile", "x:\n\t./scripts/docker.sh up\n", "x:\n\t./scripts/docker.sh up\n"),
    "documents": ("README.md", "Run `./docker.sh build`.\n", "Run `./docker.sh build`.\n"),
    "an output that is used": (
        "Jenkinsfile",
        "node { def v = sh(script: './docker.sh build', returnStdout: true).trim() }\n",
        None,
    ),
    "an exit code that is used": (
        "Jenkinsfile",
        "node {\n  sh(script: './docker.sh build', returnStatus: true)\n}\n",
        None,
    ),
    "a folder of its own": ("Jenkinsfile", "node {\n  dir('x') {\n    sh './docker.sh build'\n  }\n}\n", None),
    "a container": (
        "Jenkinsfile",
        "node {\n  docker.image('dind').inside('-u 0') {\n    sh './docker.sh build'\n  }\n}\n",
        None,
    ),
    "without a command": (
        "Jenkinsfile",
        "node {\n  sh 'chmod +x docker.sh'\n  sh './docker.sh build'\n  sh './docker.sh'\n}\n",
        None,
    ),
    "a variable command": ("Jenkinsfile", 'node {\n  sh "./docker.sh ${params.ACTION}"\n}\n', None),
    "another image's name": ("Jenkinsfile", "node {\n  sh './docker.sh build shop-api'\n}\n", None),
    "a block for bash with more in it": (
        "Jenkinsfile",
        "node {\n  sh '''#!/bin/bash\n    ./docker.sh build\n    ls\n  '''\n}\n",
        None,
    ),
    "a failure that is passed over": ("Jenkinsfile", "node {\n  sh './docker.sh push || true'\n}\n", None),
    "a condition of the shell": (
        "Jenkinsfile",
        "node {\n  sh '''\n    if [ -f x ]; then\n      ./docker.sh build\n    fi\n  '''\n}\n",
        None,
    ),
    "a variable of the shell": (
        "Jenkinsfile",
        "node {\n  sh '''\n    export DOCKER_REGISTRY=a.example\n    ./docker.sh build\n  '''\n}\n",
        None,
    ),
    "another folder of the shell": ("Jenkinsfile", "node {\n  sh 'cd app && ./docker.sh build'\n}\n", None),
    "a variable of make": ("Makefile", "DOCKER = ./docker.sh\nimage:\n\t$(DOCKER) build\n", None),
    "a variable before it": ("Makefile", "image:\n\tVERSION=1 ./docker.sh build\n", None),
    "GitLab": (".gitlab-ci.yml", "image:\n  script:\n    - ./docker.sh build\n", None),
    "GitHub": (".github/workflows/image.yml", "jobs:\n  image:\n    steps:\n      - run: ./docker.sh build\n", None),
    "a Dockerfile": ("Dockerfile.tools", "FROM a:1\nCOPY docker.sh /\n", None),
    "a crontab": ("deploy/cron", "0 3 * * * root /srv/shop/docker.sh build\n", None),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LC_ALL", "C")
    return a_project(tmp_path)


def a_project(folder: Path) -> Path:
    (folder / "docker.sh").write_text(SCRIPT)
    (folder / "scripts").mkdir()
    (folder / "scripts/docker.sh").write_text("docker ps\n")
    return folder


@table("name", FORMS)
def test_a_call_is_carried_over_or_named(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("LC_ALL", "C")
    project = a_project(Path(tempfile.mkdtemp(dir=tmp_path)))
    file, text, expected = FORMS[name]
    path = project / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, newline="")
    done = main(["adopt", "--yes", "--remove", "--project", str(project)])
    err = capsys.readouterr().err
    found = path.read_bytes().decode()
    if expected is None:
        assert (done, found, (project / "docker.sh").exists()) == (1, text, True)
        assert f"{file}:" in err
        assert "docker.sh is not removed" in err
        return
    assert done == 0, err
    assert found in (expected, HEAD + expected)
    assert not (project / "docker.sh").exists()


def test_most_forms_are_carried_over():
    carried = [name for name, (_file, text, expected) in FORMS.items() if expected not in (None, text)]
    assert len(carried) >= 15


def test_adopt_leaves_a_makefile_that_ci_runs(project, capsys):
    (project / "Makefile").write_text("image:\n\t./docker.sh build\n")
    (project / "Jenkinsfile").write_text("node { sh 'make image' }\n")
    assert main(["adopt", "--yes", "--remove", "--project", str(project)]) == 1
    assert "Makefile:2 calls docker.sh: ./docker.sh build" in capsys.readouterr().err
    assert (project / "docker.sh").exists()


def test_adopt_leaves_a_script_that_ci_runs_indirectly(project, capsys):
    (project / "release.sh").write_text("./docker.sh push\n")
    (project / "Makefile").write_text("release:\n\tbash release.sh\n")
    (project / ".gitlab-ci.yml").write_text("release:\n  script: make release\n")
    assert main(["adopt", "--yes", "--remove", "--project", str(project)]) == 1
    assert "release.sh:1 calls docker.sh" in capsys.readouterr().err
    assert (project / "release.sh").read_text() == "./docker.sh push\n"


def test_a_jenkinsfile_above_the_project_is_found(project, capsys):
    (project / ".git").mkdir()
    below = project / "shop"
    below.mkdir()
    (project / "docker.sh").rename(below / "docker.sh")
    (project / "Jenkinsfile").write_text("node { dir('shop') { sh './docker.sh build' } }\n")
    assert main(["adopt", "--yes", "--remove", "--project", str(below)]) == 1
    assert "Jenkinsfile:1 calls docker.sh" in capsys.readouterr().err


def test_adopt_without_yes_reports_callers_and_changes_nothing(project, capsys):
    (project / "Makefile").write_text("image:\n\t./docker.sh build\n")
    (project / "link").symlink_to("docker.sh")
    assert main(["adopt", "--remove", "--project", str(project)]) == 1
    err = capsys.readouterr().err
    assert "Makefile:2 calls docker.sh" in err
    assert "link:1 calls docker.sh" in err
    assert (project / "Makefile").read_text() == "image:\n\t./docker.sh build\n"


def test_a_secret_beside_a_call_is_not_shown(project, capsys):
    (project / "Makefile").write_text("image:\n\tDOCKER_REGISTRY_PASS=s3cr3t ./docker.sh push\n")
    assert main(["adopt", "--yes", "--remove", "--project", str(project)]) == 1
    shown = capsys.readouterr()
    assert "s3cr3t" not in shown.out + shown.err


@table("name", [name for name, form in FORMS.items() if "Jenkinsfile" in form[0]])
def test_brackets_and_quotes_of_a_jenkinsfile_stay_balanced(name):
    changed = rewrite(FORMS[name][1], "shop-web", ["./prepare.sh 'a b'"])
    bare = groovy.without_comments(changed)
    for one in reversed(groovy.strings(bare)):
        bare = bare[: one.start] + bare[one.end :]
    assert bare.count("{") == bare.count("}")
    assert bare.count("(") == bare.count(")")
    assert "'" not in bare
    assert "steps {\n            }" not in changed


def test_the_script_of_the_table_is_one():
    assert subprocess.run(["bash", "-n"], input=SCRIPT.encode(), check=True).returncode == 0
