"""Projects after public bug reports: what lint finds, what --fix and adopt leave behind."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from container_pipeline.__main__ import main
from container_pipeline.model import ImageRef, Registry, RegistryAccess, Repository
from unit.table import table

IMAGE = "image: ${DOCKER_REGISTRY:-registry.example}/shop-web:${VERSION:-latest}\n"
COMPOSE = f"services:\n  shop-web:\n    {IMAGE}    env_file: [.env]\n"
DOCKERFILE = 'FROM busybox:1.36\nADD start /start\nENTRYPOINT ["/bin/sh", "/start"]\n'
SCRIPT = """#!/bin/bash
BUILD_DIRECTORY=$(cd "$(dirname "$0")" && pwd)
BUILD_REGISTRY=$DOCKER_REGISTRY
BUILD_IMAGE_NAME=shop-web
BUILD_IMAGE=$BUILD_IMAGE_NAME
build() {
  BUILD_VERSION=$(date +%Y%m%d%H%M%S)
  docker build --no-cache --force-rm $BUILD_DIRECTORY -t $BUILD_REGISTRY/$BUILD_IMAGE:$BUILD_VERSION
  echo $BUILD_VERSION >$BUILD_DIRECTORY/.docker_build_version
}
push() {
  docker push $BUILD_REGISTRY/$BUILD_IMAGE:$(cat $BUILD_DIRECTORY/.docker_build_version)
}
case "$1" in
build)
  build
  ;;
push)
  push
  ;;
pipeline)
  build
  push
  ;;
esac
"""
BUILD = "  docker build --no-cache . -t $BUILD_REGISTRY/$BUILD_IMAGE:$BUILD_VERSION\n"
KEPT = "docker.sh is not removed"


def script(before: str, head: str = "") -> str:
    return f"#!/bin/bash\n{head}BUILD_IMAGE_NAME=shop-web\nbuild() {{\n{before}{BUILD}}}\n"


def windows(text: str) -> bytes:
    return ("\ufeff" + text).replace("\n", "\r\n").encode()


def gbk(text: str) -> bytes:
    return f"# 中文\n{text}".encode("gbk")


@dataclass(frozen=True)
class Case:
    """A command on a project: its exit code, what it says and what it does not, and what a file ``holds`` afterwards.

    ``misses`` is what docker-compose.yml must not hold, ``same`` are files that must not change by a byte, ``meaning`` what YAML makes of docker-compose.yml afterwards but for the
    service's own keys that a repair adds, and ``steps`` the `sh` steps of the Jenkinsfile that was written.
    """

    command: str
    files: Mapping[str, str | bytes]
    exit: int | None = None
    says: Sequence[str] = ()
    lacks: Sequence[str] = ()
    same: Sequence[str] = ()
    holds: Mapping[str, str] = field(default_factory=dict)
    meaning: bool = False
    steps: Sequence[str] | None = None
    misses: str = ""


def fix(text: str | bytes, *says: str, **more: object) -> Case:
    """lint --fix on a Compose file: whatever it repairs, the rest means what it meant."""
    project = {"docker-compose.yml": text, ".env": "ENV=test\n"}
    return Case("lint --fix", project, says=says, lacks=("unexpected",), meaning=True, **more)  # type: ignore[arg-type]


def dockerfile(text: str | bytes, *says: str, lacks: Sequence[str] = ("CP100", "CP102")) -> Case:
    return Case("lint", {"Dockerfile": text}, says=says, lacks=() if says else lacks)


def image(text: str, *says: str) -> Case:
    """lint on a service whose image is ``text``; a `.env` comes from Jenkins, or is there."""
    compose = f"version: '3.5'\nservices:\n  shop-web:\n    image: {text}\n    env_file: [.env]\n"
    return Case("lint", {"docker-compose.yml": compose}, says=says, lacks=() if says else ("CP200", "CP204"))


def code(text: str) -> Case:
    """A project code that YAML 1.1 takes for another thing: what is written is meant."""
    name = text.strip("'\"")
    compose = COMPOSE.replace("  shop-web:", f"  {text}:").replace("shop-web", name)
    project = {"container-pipeline.yml": f"code: {text}\n", "docker-compose.yml": compose, ".env": "ENV=test\n"}
    return Case("lint --fix --json", project, says=(f'"code": "{name}"',), lacks=("no service is named",))


def ignore(data: bytes, *says: str, lacks: Sequence[str] = ()) -> Case:
    return Case("lint", {"Dockerfile": DOCKERFILE, ".dockerignore": data, "secret": "s"}, says=says, lacks=lacks)


def ignored(text: str, *says: str, own: str = "", builder: str = "auto") -> Case:
    """lint where ``text`` is the .dockerignore, and ``own`` the one beside the Dockerfile, which BuildKit reads instead."""
    project = {"Dockerfile": 'FROM a:1\nCOPY . /app\nCMD ["a"]\n', ".dockerignore": text}
    project["container-pipeline.yml"] = f"builder: {builder}\n"
    if own:
        project["Dockerfile.dockerignore"] = own
    return Case("lint", project, says=says, lacks=() if says else ("CP132",))


def written(file: str, data: bytes) -> Case:
    """init on a project with a file in another encoding: it counts as what it is."""
    project = {"requirements.txt": "flask==3.0\n", "app.py": "import flask\napp = flask.Flask(__name__)\n", file: data}
    holds = {"Dockerfile": "pip install --no-cache-dir -r requirements.txt"}
    return Case("init", project, 0, ("flask, requirements.txt",), same=(file,), holds=holds)


def called(file: str, text: str | bytes, **more: object) -> Case:
    """adopt --remove where ``file`` calls docker.sh in a way that nothing else stands for: it is named, and both stay."""
    said = (f"{file}:", KEPT)
    project = {"docker.sh": SCRIPT, file: text}
    return Case("adopt --yes --remove", project, 1, said, same=("docker.sh", file), **more)  # type: ignore[arg-type]


def carried(file: str, text: str, after: str) -> Case:
    """adopt --remove where each call has something that does the same."""
    return Case("adopt --yes --remove", {"docker.sh": SCRIPT, file: text}, 0, lacks=(KEPT,), holds={file: after})


def adopted(text: str, *steps: str) -> Case:
    """adopt reads what follows a construct, and writes whole commands into the Jenkinsfile, or none."""
    return Case("adopt --yes", {"docker.sh": text}, 0, holds={"container-pipeline.yml": "code: shop-web"}, steps=steps)


def docker(command: str, words: str, *kept: str, says: str = "", head: str = "", lacks: str = "Traceback") -> Case:
    """adopt on a script with one docker command: what it says of the words that it takes and of others."""
    text = f"#!/bin/bash\n{head}BUILD_IMAGE_NAME=shop-web\n{command.split()[-1]}() {{\n  docker {command} {words}\n}}\n"
    return Case("adopt --yes", {"docker.sh": text}, 0, (says, *kept), (f"✓ {lacks}",))


def hub(registry: str, key: str) -> Case:
    return Case(f"login {registry}", {}, says=(key,))


def ternary(text: str, *says: str) -> Case:
    return Case("lint", {"Jenkinsfile": text}, says=says, lacks=() if says else ("CP503",))


def env(text: str, *says: str, lacks: Sequence[str] = (), same: bool = False) -> Case:
    project = {"docker-compose.yml": COMPOSE, ".env": text}
    return Case("lint --fix", project, says=says, lacks=lacks, same=(".env",) if same else ())


STEP = "containerPipeline(code: 'shop-web', servers: prod ? mainServers : testServers)"
ANCHOR = (
    f"version: '3.8'\nservices:\n  shop-web: &app\n    {IMAGE}    env_file: [.env]\n    restart: unless-stopped\n"
    "  worker:\n    <<: *app\n    command: [sleep, '3600']\n"
)
HEREDOCS = """# syntax=docker/dockerfile:1
FROM busybox:1.36
COPY <<one.txt <<two.txt /data/
first file
one.txt
second file
two.txt
RUN true && \\
    cat <<BAR > /bar
blah
BAR
COPY <<EOF /inner
  EOF
still inside
EOF
COPY <<-\\EOT /raw
\techo $HOME
\tEOT
COPY start /start
ENTRYPOINT ["/bin/sh", "/start"]
"""
BLOCK = """pipeline {
    agent any
    stages {
        stage('Image') {
            steps {
                sh '''
                    chmod +x docker.sh
                    ./docker.sh pipeline
                '''
            }
        }
    }
}
"""

CASES: dict[str, Case] = {
    # docker/compose#11983, #10824, isaac-sim/IsaacLab#333
    "anchors: a service that another merges": fix(ANCHOR, "CP202 is not repaired"),
    "anchors: a list of merges": fix(f"x-a: &a\n  restart: 'no'\nx-b: &b\n  hostname: b\n{COMPOSE}    <<: [*a, *b]\n"),
    "anchors: one name twice": fix(
        f"x-a: &a [A=b]\n{COMPOSE}    environment: &a\n      - C=d\n  c:\n    image: x\n    environment: *a\n"
    ),
    "anchors: an alias as service": fix(f"x-s: &s\n    {IMAGE}services:\n  shop-web: *s\n", "CP205 is not repaired"),
    "anchors: a scalar that another takes": fix(
        f"{COMPOSE}    restart: &r 'no'\n  b:\n    image: x\n    restart: *r\n", "restart is no"
    ),
    "flow style": fix("services: {shop-web: {image: 'x', restart: 'no'}}\n", "ulimits is missing"),
    "JSON": fix('{\n  "services": {\n    "shop-web": {\n      "image": "x"\n    }\n  }\n}\n', "ulimits is missing"),
    "an explicit key": fix(f"services:\n  ? shop-web\n  : {IMAGE}    env_file: .env\n", "ulimits is missing"),
    "services of another file alone": Case(
        "lint", {"docker-compose.yml": "include: [parts/web.yml]\n", "parts/web.yml": COMPOSE}, lacks=("CP200", "CP201")
    ),
    "the service in another file": Case(
        "lint --fix",
        {"docker-compose.yml": "version: '3.5'\ninclude: [web.yml]\nservices:\n  db: {image: x}\n", "web.yml": COMPOSE},
        lacks=("CP201",),
        same=("docker-compose.yml",),
    ),
    "two documents": fix(f"{COMPOSE}---\nservices: {{b: {{image: x}}}}\n", "CP200", same=("docker-compose.yml",)),
    "a key twice in a service": fix(f"{COMPOSE}    labels: {{a: b}}\n    labels: {{c: d}}\n", "yml:6: CP200 it is not", "'labels' appears twice"),
    "a service twice": fix(f"{COMPOSE}  shop-web: {{image: x}}\n", "yml:5: CP200", "'shop-web' appears twice", same=("docker-compose.yml",)),
    "a document's marks": fix(f"---\n{COMPOSE}...\n"),
    "a directive": fix(f"%YAML 1.1\n---\n{COMPOSE}"),
    "a tab": fix(COMPOSE.replace("  shop", "\tshop"), "CP200", same=("docker-compose.yml",)),
    "a tab before a comment": fix(COMPOSE + "\t# odd\n", same=("docker-compose.yml",)),
    "lines that only YAML ends": fix(f"{COMPOSE}    command: 'a\u2028b\u0085c'\n    restart: 'no'\n", "restart is no"),
    "carriage returns alone": fix(COMPOSE.replace("\n", "\r"), same=("docker-compose.yml",)),
    "mixed line ends": fix(COMPOSE.replace("\n", "\r\n", 1)),
    "a byte order mark and an anchor": fix(windows(ANCHOR), "CP202 is not repaired"),
    "a text that keeps its last lines": fix(f"{COMPOSE}    command: |+\n      sh\n\n\n  b:\n    image: x\n"),
    "no last line end": fix(COMPOSE.rstrip("\n")),
    "replicas": fix(f"{COMPOSE}    deploy: {{replicas: 2}}\n", misses="container_name:"),
    "another container's network": fix(f"{COMPOSE}    network_mode: service:b\n  b:\n    image: x\n", misses="hostname:"),
    # moby/moby#23221, #23234, docker/cli#4269, hadolint/hadolint#335
    "Windows: every file": Case(
        "lint",
        {
            "Dockerfile": windows(DOCKERFILE),
            ".dockerignore": windows("*.log\nsecret\n"),
            ".env": windows("ENV=test\nA=b\n"),
            "docker-compose.yml": windows(COMPOSE),
            "container-pipeline.yml": windows("code: shop-web\n"),
        },
        lacks=("CP100", "CP200", "CP201", "CP204", "CP301", "CP303"),
    ),
    "Windows: a here-document": dockerfile(windows("FROM a:1\nRUN <<EOF\necho\nEOF\nCMD [\"a\"]\n")),
    "Windows: escape": dockerfile(windows("# escape=`\nFROM a:1\nRUN dir C:\\\nRUN a `\n  b\n")),
    # hadolint/hadolint#682, #1019, #1137, #1051, hadolint/language-docker#66
    "here-documents": dockerfile(HEREDOCS),
    "here-document: tabs": dockerfile("FROM a:1\nRUN <<-EOF\n\tFOO a\n\tEOF\n"),
    "here-document: a quoted word": dockerfile("FROM a:1\nCOPY <<'E-1.x' /a\nFOO\nE-1.x\nRUN <<\"B\" bash\nFOO\nB\n"),
    "here-document: a file's name": dockerfile("FROM a:1\nCOPY --chmod=644 <<nginx.conf /etc/\nserver {}\nnginx.conf\n"),
    "here-document: into a pipe": dockerfile("FROM a:1\nRUN cat <<EOF | sh && true\nBAR\nEOF\n"),
    "here-document: a word that no line is": dockerfile("FROM a:1\nRUN cat <<EOF; true\nBAR\nEOF\n", "never ends"),
    "here-document: a quote that never ends": dockerfile(
        'FROM a:1\nRUN bash -c "cat <<EOF\nCMD ["a"]\n', lacks=("never ends",)
    ),
    "here-document: a shift": dockerfile("FROM a:1\nRUN echo $((1<<2)) $((x<<y))\nRUN z\n"),
    "escape: other spelling": dockerfile("#\tESCAPE\t=\t`\nFROM a:1\nRUN dir `\n b\n"),
    "escape: behind check": dockerfile("# check=skip=all\n# escape=`\nFROM a:1\nRUN dir `\n b\n"),
    "escape: behind a comment with a sign": dockerfile(
        "# foo=bar\n# escape=`\nFROM a:1\nRUN dir `\nFOO b\n", "FOO is not an instruction"
    ),
    "FROM: a platform": dockerfile("FROM --platform=$BUILDPLATFORM a:1 AS b\nFROM --platform=linux/amd64 b\n"),
    "FROM: behind ARG": dockerfile("ARG V=1.2\nARG IMAGE\nFROM ${IMAGE}:${V}\nFROM a:${V:-1}\n"),
    "FROM: small letters": dockerfile("# c\n\narg V=1\nfrom a:$V as B\nrun x\nfrom b\n"),
    "FROM: a stage that has the command": dockerfile('FROM a:1 AS Base\nCMD ["a"]\nFROM base\nRUN x\n', lacks=("CP111",)),
    "FROM: a stage of a stage": dockerfile('FROM a:1 AS a\nCMD ["a"]\nFROM a AS b\nFROM x:1\nFROM b\n', lacks=("CP111",)),
    "FROM: another stage has the command": dockerfile('FROM a:1 AS a\nCMD ["a"]\nFROM b:1\nCOPY --from=a / /\n', "CP111"),
    "FROM: something before it": dockerfile("ARG V=1\nFROM a:$V\n"),
    "FROM: an instruction before it": dockerfile('COPY a b\nFROM a:1\nCMD ["a"]\n', "CP100 COPY stands before FROM"),
    "EXPOSE: in quotes": dockerfile('FROM a:1\nEXPOSE "80" "81/udp"\n', lacks=("CP107",)),
    "an array with a comma at its end": dockerfile('FROM a:1\nCMD ["a","b",]\n', 'write CMD ["a", "b"]'),
    "an array in typographic quotes": dockerfile("FROM a:1\nCMD [“a”, “b”]\n", 'write CMD ["a", "b"]'),
    "a version's range": dockerfile('FROM a:1\nRUN pip install "a[x]>=1,<2"\n', "write a[x]==VERSION"),
    # browser-use/browser-use#1670
    "UTF-16: without a mark": ignore("secret\n.env\n".encode("utf-16-le"), "CP133", "UTF-16"),
    "UTF-16: as PowerShell writes it": ignore(b"\xff\xfe" + "secret\n.env\n".encode("utf-16-le"), "CP133"),
    "UTF-16: the other order": ignore("secret\r\n.env\r\n".encode("utf-16-be"), "CP133"),
    "UTF-8 with a mark": ignore(windows("secret\n.env\n"), lacks=("CP133",)),
    # what .dockerignore leaves out, as Docker reads it
    "ignore: a pattern": ignored("*.env\n.g[i]t\n"),
    "ignore: everything but one folder": ignored("**\n!src\n"),
    "ignore: a path from here": ignored("./.env\n/.git/\n"),
    "ignore: in every folder": ignored("**/.env\n**/.git\n"),
    "ignore: taken back": ignored("*\n!.env\n", "CP132 the copy includes .env"),
    "ignore: another order": ignored("!.env\n*\n"),
    "ignore: a comment": ignored("  # .env\n#.git\n", "CP132 the copy includes .env, .git"),
    "ignore: names in a folder": ignored("src/.env\nsrc/.git\n", "CP132 the copy includes .env, .git"),
    "ignore: beside the Dockerfile": ignored("*.log\n", own=".env\n.git\n"),
    "ignore: only in the file not read": ignored(
        ".env\n.git\n", "CP132 the copy includes .env, .git — list them in Dockerfile.dockerignore", own="*.log\n"
    ),
    "ignore: beside the Dockerfile, engine's builder": ignored(
        "*.log\n", "CP132 the copy includes .env, .git — list them in .dockerignore", own=".env\n.git\n", builder="engine"
    ),
    # GBK, in which editors on Chinese Windows save: shells and Docker take such a file, Compose does not
    "GBK: docker.sh": Case(
        "adopt --yes", {"docker.sh": gbk(SCRIPT)}, 1, ("docker.sh cannot be read: it is not UTF-8",), same=("docker.sh",)
    ),
    "UTF-16: docker.sh": Case("adopt --yes", {"docker.sh": SCRIPT.encode("utf-16")}, 1, ("it is not UTF-8",)),
    "GBK: Jenkinsfile": called("Jenkinsfile", gbk("node { sh './docker.sh build' }\n")),
    "UTF-16: Jenkinsfile": called("Jenkinsfile", "node { sh './docker.sh build' }\n".encode("utf-16")),
    "GBK: a file that init would write": Case(
        "init --force",
        {"requirements.txt": "flask==3.0\n", "app.py": "", "Dockerfile": gbk(DOCKERFILE), ".gitignore": gbk("a\n")},
        0,
        ("kept Dockerfile: it is not UTF-8", "kept .gitignore: it is not UTF-8"),
        same=("Dockerfile", ".gitignore"),
    ),
    "UTF-16: the requirements of a new project": written("requirements.txt", "flask==3.0\n".encode("utf-16")),
    "GBK: the requirements of a new project": written("requirements.txt", gbk("flask==3.0\n")),
    "GBK: a new project's program": written("app.py", gbk("import flask\napp = flask.Flask(__name__)\n")),
    "GBK: docker-compose.yml": Case("lint", {"docker-compose.yml": gbk(COMPOSE)}, says=("docker-compose.yml:1: CP215 it is not",)),
    "GBK: .env": Case(
        "lint", {"docker-compose.yml": COMPOSE, ".env": b"ENV=test\n" + gbk("A=b\n")}, says=(".env:2: CP307 it is not UTF-8",)
    ),
    "GBK: Dockerfile": dockerfile(gbk(DOCKERFILE), lacks=("UTF-8",)),
    # docker/compose#12637
    "a variable: required": image("${DOCKER_REGISTRY:?set it}/shop-web:${VERSION:?set it}"),
    "a variable: required, or empty": image("${DOCKER_REGISTRY?}/shop-web:${VERSION?}"),
    "a variable: a default": image("${DOCKER_REGISTRY-registry.example}/shop-web:${VERSION:-x}"),
    "a variable: without braces": image("$DOCKER_REGISTRY/shop-web:$VERSION"),
    "a variable: one without braces": image('"${DOCKER_REGISTRY}/shop-web:$VERSION"'),
    "a variable: a default in a default": image("${DOCKER_REGISTRY:-${MIRROR:-registry.example}}/shop-web:${VERSION:-${TAG}}"),
    "a variable: an escaped one": image("${DOCKER_REGISTRY}/shop-web:$$VERSION", "CP204"),
    "a variable: another one": image("${DOCKER_REGISTRY}/shop-web:${TAG}", "CP204"),
    # docs/jenkins.md: the credential `env`
    "an .env from Jenkins": Case(
        "lint", {"docker-compose.yml": "version: '3.5'\n" + COMPOSE}, lacks=("CP200", "CP301", ".env")
    ),
    "an .env of an environment from Jenkins": Case(
        "lint",
        {
            "docker-compose.yml": "version: '3.5'\n" + COMPOSE,
            "container-pipeline.yml": "code: shop-web\nenvironments: {prod: {env_file: prod.env}}\n",
        },
        lacks=("CP200", "CP301", ".env"),
    ),
    ".env: a value of several lines": env("ENV=test\nKEY='-----BEGIN\nENV\n-----END'\n", lacks=("CP303",)),
    ".env: a quote that ends on no line": env("ENV=test\nKEY='a\nb\n", ".env:3: CP303"),
    ".env: a zero byte": env("ENV=test\nA=b\0\n", lacks=("CP307",), same=True),
    ".env: what steers Compose": env("ENV=test\nCOMPOSE_FILE=a.yml\n", ".env:2: CP308"),
    # YAML 1.1
    **{
        f"a code: {word}": code(word)
        for word in ("no", "2024_11", "1_0", "1e3", "0x10", "017", "on", "2024-11-26", "0o17", "0b11", "'null'")
    },
    "a key twice": Case(
        "deploy --dry-run",
        {"container-pipeline.yml": "code: shop-web\nservers: [a]\nservers: [b]\n"},
        1,
        ("container-pipeline.yml:3 cannot be read: the key 'servers' appears twice",),
    ),
    "a merge that repeats a key": Case(
        "lint --json",
        {
            "docker-compose.yml": COMPOSE,
            "container-pipeline.yml": "code: shop-web\nenvironments: {a: &a {keep: 1}, b: {<<: *a, keep: 2}}\n",
        },
        says=('"code": "shop-web"',),
        lacks=("twice",),
    ),
    "a code that no deploy takes": Case(
        "lint", {"docker-compose.yml": COMPOSE, "container-pipeline.yml": "code: Shop_Web\n"}, 1, ("'Shop_Web' is not a project code",)
    ),
    # projectatomic/atomic#790, testcontainers/testcontainers-java#4474, open-horizon/anax#2316, Deepomatic/dmake#327
    "Docker Hub: a team": hub("docker.io/team", "https://index.docker.io/v1/ team/shop-web"),
    "Docker Hub: its other name": hub("index.docker.io/team", "https://index.docker.io/v1/ team/shop-web"),
    "Docker Hub: large letters": hub("Docker.io/team", "https://index.docker.io/v1/ team/shop-web"),
    "another registry": hub("docker.io.example/team", "docker.io.example docker.io.example/team/shop-web"),
    # Jenkinsfiles that call their script within sh ''' … '''
    "a block": Case(
        "adopt --yes --remove",
        {"docker.sh": SCRIPT, "Jenkinsfile": BLOCK},
        0,
        lacks=(KEPT,),
        holds={"Jenkinsfile": "                containerPipeline(code: 'shop-web', promote: false)\n"},
    ),
    "a block with a label": called(
        "Jenkinsfile", "node {\n  sh script: '''\n    ./docker.sh build\n  ''', label: 'x'\n}\n"
    ),
    "a block of batch": called("Jenkinsfile", 'node {\n  bat """\n    bash docker.sh build\n  """\n}\n'),
    "a block with a here-document": called("Jenkinsfile", "node { sh '''cat <<EOF\n./docker.sh build\nEOF''' }\n"),
    "a block for another machine": called("Jenkinsfile", "node { sh '''ssh a \"\n./docker.sh build\n\"''' }\n"),
    "a closure": carried("Jenkinsfile", "def go = { sh './docker.sh build' }\nnode { go() }\n", "def go = { containerBuild("),
    "a closure's argument": called("Jenkinsfile", 'def go = { w -> sh "./docker.sh ${w}" }\nnode { go("build") }\n'),
    "a choice of scripts": called("Jenkinsfile", "node { sh(prod ? './docker.sh push-prod' : './docker.sh push') }\n"),
    "a choice of commands": called("Jenkinsfile", "node { prod ? sh('./docker.sh push') : sh('./docker.sh build') }\n"),
    "a script by a variable": called("Jenkinsfile", "def s = './docker.sh'\nnode { sh \"${s} build\" }\n"),
    "a script in parts": called("Jenkinsfile", "node { sh './docker.sh ' + 'build' }\n"),
    "a file that is loaded": carried(
        "ci/steps.groovy", "def go() { sh './docker.sh build' }\nreturn this\n", "def go() { containerBuild("
    ),
    # Makefiles, other scripts and files that call docker.sh
    "make and ci/Jenkinsfile": Case(
        "adopt --yes --remove",
        {
            "docker.sh": SCRIPT,
            "Makefile": "image:\n\t./docker.sh build\n",
            "ci/Jenkinsfile": "node { checkout scm\n sh './docker.sh pipeline'\n}\n",
        },
        0,
        lacks=(KEPT,),
        holds={
            "Makefile": "image:\n\tcontainer-pipeline build\n",
            "ci/Jenkinsfile": "node { checkout scm\n containerPipeline(code: 'shop-web', promote: false)\n}\n",
        },
    ),
    "make: quietly, and continued": carried(
        "Makefile", "a:\n\t@npm ci && \\\n\t./docker.sh build && \\\n\t./docker.sh push\n", "\tcontainer-pipeline build && "
    ),
    "make: a failure is passed over": called("Makefile", "image:\n\t-./docker.sh build\n"),
    "make: an output": called("Makefile", "OUT := $(shell ./docker.sh build)\n"),
    "make: a pipe": called("Makefile", "image:\n\t./docker.sh build | tee log\n"),
    "make: another machine": called("Makefile", "image:\n\tssh host ./docker.sh build\n"),
    "make: another machine by a variable": called("Makefile", "image:\n\t$(SSH) ./docker.sh build\n"),
    "make: an include": carried("image.mk", "image:\n\t./docker.sh build\n", "\tcontainer-pipeline build\n"),
    "make: a word that is continued": called("Makefile", "image:\n\t./docker.sh \\\n\t  build\n"),
    "a script: a function of one line": carried("go.sh", "image() { ./docker.sh build; }\n", "{ container-pipeline build; }"),
    "a script: case": carried("go.sh", "case $1 in\n a) ./docker.sh build ;;\nesac\n", " a) container-pipeline build ;;"),
    "a script: source": called("go.sh", "source ./docker.sh build\n"),
    "a script: a dot": called("go.sh", ". ./docker.sh build\n"),
    "a script: eval": called("go.sh", "eval './docker.sh build'\n"),
    "a script: trap": called("go.sh", 'trap "./docker.sh push" EXIT\n'),
    "a script: a here-document for another machine": called("go.sh", "ssh a <<EOF\n./docker.sh build\nEOF\n"),
    "a script: a text for another machine": called("go.sh", 'ssh a "\n./docker.sh build\n"\n'),
    "a script: a continued line": called("go.sh", "ssh a \\\n  ./docker.sh build\n"),
    "a script: in a container": called("go.sh", "docker run x ./docker.sh build\n"),
    "a script: arguments": called("go.sh", "set -- ./docker.sh build\n\"$@\"\n"),
    "a script in UTF-16": called("go.ps1", "bash ./docker.sh build\r\n".encode("utf-16")),
    "a script in Latin-1": called("go.sh", "# caf\xe9\n./docker.sh build\n".encode("latin-1")),
    "package.json": carried("package.json", '{"scripts": {"a": "sh ./docker.sh build"}}\n', '"a": "container-pipeline build"'),
    "package.json: another machine": called("package.json", '{"scripts": {"a": "ssh a ./docker.sh build"}}\n'),
    # scripts with helpers of one line
    "a function of one line": adopted('#!/bin/bash\nlog() { echo "$*"; }\nBUILD_IMAGE_NAME=shop-web\n'),
    "a function of one line with braces in it": adopted(script("  npm ci\n", "log() { echo '{' \"}\"; }\n"), "npm ci"),
    "functions of one line, several": adopted(script("  npm ci\n", "a() { x; }; b() (y)\nfunction c { z; }\n"), "npm ci"),
    "a function within another": adopted(script("  prep() {\n    npm ci\n  }\n  prep\n")),
    # scripts with cmd || { … } over several lines, here-documents
    "a group in braces": adopted(script('  [ -f VERSION ] || {\n    echo "no VERSION"\n    exit 1\n  }\n')),
    "a group in brackets": adopted(script("  (\n    cd web\n    npm ci\n  )\n")),
    "case": adopted(script("  case $X in\n   a) npm run a ;;\n   *) npm run b ;;\n  esac\n")),
    "a here-document": adopted(script("  cat > v <<-'END'\n\tBUILD_IMAGE_NAME=wrong }\n\tEND\n  npm ci\n"), "npm ci"),
    "trap": adopted(script("  trap 'rm x' EXIT\n  npm ci\n"), "npm ci"),
    "another folder": adopted(script("  cd web\n  npm ci\n")),
    "another folder in one command": adopted(script("  cd web && npm ci\n  npm test\n"), "cd web && npm ci"),
    "source": adopted(script("  . ./docker.env\n  npm ci\n", "source ./lib.sh\n")),
    "eval": adopted(script('  eval "$(ssh-agent)"\n  npm ci\n')),
    "a variable for one command": adopted(script("  set -e\n  CI=1 npm ci\n"), "CI=1 npm ci"),
    "only bash reads it": adopted(script("  [[ -f x ]] && rm x\n  ((n++))\n  cp {a,b} x\n  grep x <<< $Y\n  npm ci\n"), "npm ci"),
    "a test that would fail its step": adopted(script("  [ -f x ] && rm x\n  [ -f VERSION ] || exit 1\n"), "[ -f VERSION ]"),
    "a token of npm": adopted(script("  npm config set //r/:_authToken=abc\n  npm ci\n"), "npm ci"),
    # words of docker build and docker run
    "an array": docker("build", '"${ARGS[@]}" ./web', "A: b", "context: web", head="ARGS=(--no-cache --build-arg A=b)\n"),
    "a list of options": docker("build", "$OPTS web", "A: b", "context: web", head="OPTS='--pull --build-arg A=b'\n"),
    "options known only later": docker("build", "$OPTS web", "context: web", says="docker build $OPTS", head="OPTS=$(cat o)\n"),
    "a context known only later": docker("build", "$DIR", says="docker build $DIR", head="DIR=$(mktemp -d)\n"),
    "the script's folder": docker("build", "$DIR/web", "context: web", head='DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"\n'),
    "options of buildx": docker("buildx build", "--push --load -t x web", "context: web", says="docker build --push —"),
    "standard input": docker("build", "- < Dockerfile", "docker build - —", "✗ < Dockerfile —", lacks="context"),
    "a Dockerfile in a here-document": docker("build", "-f- . <<E\nFROM a\nE", "docker build --file - —", lacks="dockerfile:"),
    "a repository": docker("build", "https://h/a.git#main:web", "docker build https://h/a.git", lacks="context"),
    "an operator in quotes": docker("build", "--label 'd=a;b>c' web", "d: a;b>c", "context: web"),
    "a secret of the environment": docker("build", "--secret id=t,env=T .", "--secret id=t,env=T —", lacks="secrets"),
    "two builds": docker("build", "-f Base -t base .\n  docker build web", "✗ docker build -f Base", "context: web", lacks="dockerfile"),
    "a function that a function defines": adopted(script("  log() { echo; }\n  npm ci\n"), "npm ci"),
    "a program's own options": docker("run", "-p 8:80 x python a.py --port 80", "✗ python a.py --port 80", "ports: 8:80"),
    "values known only later": docker("run", "-p $P:80 -v $PWD/l:/l -e A=$B x", "--publish $P:80 —", "--env A=$B —", "./l:/l", lacks="run: env"),
    "letters in one word": docker("run", "-itd -p8080:80 -eA=b --privileged -v /a:/b x", "/a:/b", "8080:80", "env: A=b", says="--privileged —"),
    # Groovy Jenkinsfiles with conditional arguments
    "a choice": ternary(STEP),
    "a choice in a choice": ternary(STEP.replace("prod ?", "a ? x : prod ?")),
    "a choice over lines": ternary(STEP.replace("? main", "\n  ? main").replace(": test", "\n  : test")),
    "a choice in a string": ternary(STEP.replace("'shop-web'", "\"shop-${x ? 'web' : 'api'}\"")),
    "a default": ternary(STEP.replace("prod ? mainServers :", "mainServers ?:")),
    "a wrong key behind a choice": ternary(STEP.replace(")", ", keeep: 3)"), "CP503"),
    "a wrong key in a map": ternary("containerPipeline([code: 'shop-web', keeep: 3] + more)", "CP503"),
    "a wrong key of another step": ternary("containerRestart(code: 'shop-web', servce: 'a')", "CP503"),
    "keys of another step": ternary("containerLogs(code: 'shop-web', service: 'a', tail: 5)"),
    "a login that is continued": ternary("sh '''docker login \\\n -u x \\\n -p y'''\n", "CP504"),
}  # fmt: skip


@pytest.fixture
def projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for projects, where neither Compose nor another linter is there; a shell is, as everywhere."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "bash"):
        (tools / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("LC_ALL", "C")
    return tmp_path


@table("name", CASES)
def test_a_public_case_ends_as_a_user_expects(projects, capsys, name):
    case = CASES[name]
    project = Path(tempfile.mkdtemp(dir=projects)) / "shop-web"
    project.mkdir()
    files = {key: text if isinstance(text, bytes) else text.encode() for key, text in case.files.items()}
    if "docker-compose.yml" in files or "Jenkinsfile" in files:
        files.setdefault("container-pipeline.yml", b"code: shop-web\n")
    for key, data in files.items():
        (project / key).parent.mkdir(exist_ok=True)
        (project / key).write_bytes(data)
    if case.command.startswith("login"):
        shown, done = _login(case.command.partition(" ")[2]), 0
    else:
        done = main([*case.command.split(), "--project", str(project)])
        shown = "\n".join(capsys.readouterr())
    assert case.exit in (None, done), shown
    assert "Traceback" not in shown
    assert [text for text in case.says if text not in shown] == [], shown
    assert [text for text in case.lacks if text in shown] == [], shown
    for key in case.same:
        assert (project / key).read_bytes() == files[key]
    for key, text in case.holds.items():
        assert text in (project / key).read_bytes().decode()
    if case.misses:
        assert case.misses not in (project / "docker-compose.yml").read_text()
    if case.command.endswith("--remove"):
        assert (project / "docker.sh").exists() is (KEPT in shown)
    if case.meaning:
        assert _meaning((project / "docker-compose.yml").read_bytes()) == _meaning(files["docker-compose.yml"])
    if case.steps is not None:
        lines = (project / "Jenkinsfile").read_text().splitlines()
        assert [line.strip()[4:-1] for line in lines if line.strip().startswith("sh ")] == list(case.steps)


def _login(registry: str) -> str:
    access = RegistryAccess("development", Registry(registry))
    return f"{access.registry.login_key} {ImageRef(access.registry, Repository('shop-web'), '1').familiar}"


#: What a repair may add to the service or set there, and to the file.
_REPAIRED = ("container_name", "hostname", "restart", "logging", "ulimits", "environment", "env_file")


def _meaning(data: bytes) -> object:
    """Return what a Compose file means without what a repair may change: no document where it is none."""
    try:
        found = yaml.safe_load(data.decode("utf-8-sig"))
    except yaml.YAMLError:
        return None
    service = found["services"]["shop-web"]
    found["services"]["shop-web"] = {key: value for key, value in service.items() if key not in _REPAIRED}
    return {key: value for key, value in found.items() if key != "version"}
