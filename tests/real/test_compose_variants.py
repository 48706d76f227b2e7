"""Variants of Compose files: each runs as Compose defines it, or is refused before any change."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from real.site import Site

UP, REFUSED, LEFT_OUT = 0, 1, -1
#: Variants that Compose v1 itself refuses.
ON_V2 = (UP, LEFT_OUT)
#: Variants that behave the same on both are tried on one.
SAME_ON_V1 = (REFUSED, LEFT_OUT)
OWN = """\
  CODE:
    image: IMAGE
    ports: ["PORT:8080"]
    env_file: [.env]
"""
SLEEP = "command: [sleep, '3600'], stop_grace_period: 0s"
LINE = "# " + "x" * 97 + "\n"


@dataclass(frozen=True)
class Form:
    """One project: ``ends`` is the exit code on v2 and on v1, ``says`` what a refusal names, ``values`` what the service's environment must hold.

    ``by_hand``: `up -d`, typed in the folder on the server, changes nothing. ``more``: another one, or a unit test, shows the same.
    """

    name: str
    compose: str
    ends: tuple[int, int] = (UP, UP)
    says: str = ""
    runs: tuple[str, ...] = ("CODE",)
    env: str = "A=1\n"
    files: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    by_hand: bool = False
    more: bool = False


def own(*lines: str, others: str = "") -> str:
    """A file with the project's service, ``lines`` added to it, and what stands behind it."""
    return f"services:\n{OWN}{''.join(f'    {line}{chr(10)}' for line in lines)}{others}"


def other(name: str = "worker", more: str = "", image: str = "IMAGE") -> str:
    return f"  {name}: {{image: {image}, {SLEEP}{more}}}\n"


VALUES = [
    Form(
        "env files that are raw, missing, or named by a variable",
        own().replace(
            "[.env]",
            "[{path: .env, format: raw}, {path: a.env, format: raw}, {path: none, required: false}, '${B:-conf/b}.env']",
        ),
        ON_V2,
        env='A="quoted"\n',
        files={"a.env": "C='single' $x #\n", "conf/b.env": "B=2\n"},
        values={"A": '"quoted"', "C": "'single' $x #", "B": "2"},
        by_hand=True,
    ),
    Form(
        "values of several lines, variables that would steer Compose or Docker, those of the login, and the folder",
        own(
            "environment: {W: '${USER}-${HOME:-h}-${LC_ALL}-${LOGNAME:-n}', P: '${PWD}'}",
            "volumes: ['${PWD}/conf:/conf:ro']",
        ).replace("[.env]", "[.env, more.env]"),
        env="KEY='-----BEGIN\nabc=\n-----END'\nDOCKER_HOST=tcp://192.0.2.1:1\nDOCKER_CONTEXT=nowhere\nDOCKER_TLS_VERIFY=1\nDOCKER_CERT_PATH=/nowhere\n"
        "DOCKER_CONFIG=/nowhere\nDOCKER_API_VERSION=1.12\nDOCKER_DEFAULT_PLATFORM=linux/s390x\nHTTP_PROXY=http://192.0.2.1:1\n"
        "COMPOSE_API_VERSION=1.12\nCOMPOSE_PATH_SEPARATOR=k\nCOMPOSE_PARALLEL_LIMIT=x\nCOMPOSE_HTTP_TIMEOUT=x\n"
        "COMPOSE_ENV_FILES=none.env\nCOMPOSE_DISABLE_ENV_FILE=1\nCOMPOSE_PROGRESS=none\nCOMPOSE_ANSI=none\n"
        "COMPOSE_COMPATIBILITY=1\nCOMPOSE_TLS_VERSION=x\nCOMPOSE_REMOVE_ORPHANS=1\nUSER=app\nLC_ALL=zz\n",
        files={"more.env": 'TEXT="one\ntwo"\nC=3\n', "conf/a": "a"},
        values={
            "KEY": "-----BEGIN\nabc=\n-----END",
            "TEXT": "one\ntwo",
            "C": "3",
            "DOCKER_HOST": "tcp://192.0.2.1:1",
            "DOCKER_CONFIG": "/nowhere",
            "COMPOSE_DISABLE_ENV_FILE": "1",
            "W": "app-h-zz-n",
            "P": "/docker/compose/CODE",
        },
    ),
]

#: v1 does not leave out what stands under a profile: we do, which is no repetition.
PROFILES = [
    Form(
        "companions under profiles, built, linked, of an exact image, or scaled to nothing",
        own(
            "build: .",
            "links: [linked]",
            "volumes_from: [linked]",
            "pull_policy: if_not_present",
            others=other("worker", ", profiles: [jobs], scale: 2")
            + other("linked", image="DIGEST")
            + other("idle", ", profiles: [never]")
            + other("none", ", scale: 0")
            + "  built: {build: ./built, profiles: [never]}\n",
        ),
        runs=("CODE", "worker", "linked"),
        env='COMPOSE_PROFILES="other, jobs"\n',
        files={"built/Dockerfile": "FROM scratch\n"},
        by_hand=True,
    ),
    Form(
        "companions that are left out again, and no profile",
        own(others=other("idle", ", profiles: [x]")),
        env="COMPOSE_PROFILES=\n",
    ),
]

COMPANIONS = [
    *PROFILES,
    Form(
        "every profile",
        own(others=other("worker", ", profiles: [x]")),
        runs=("CODE", "worker"),
        env="COMPOSE_PROFILES=*\n",
        ends=ON_V2,
        by_hand=True,
        more=True,
    ),
    Form(
        "one that it needs is under a profile",
        own("depends_on: [worker]", others=other("worker", ", profiles: [x]")),
        (REFUSED, REFUSED),
        "worker",
        more=True,
    ),
    Form(
        "one that it can do without is under a profile",
        own(
            "depends_on: {worker: {condition: service_started, required: false}}",
            others=other("worker", ", profiles: [x]"),
        ),
        ON_V2,
        more=True,
    ),
    Form(
        "a companion that is only built",
        own(others="  worker: {build: ./built}\n"),
        (REFUSED, REFUSED),
        "worker",
        files={"built/Dockerfile": "FROM scratch\n"},
        more=True,
    ),
    Form(
        "two with one container_name",
        own("container_name: CODE", others=other("worker", ", container_name: CODE")),
        (REFUSED, REFUSED),
        more=True,
    ),
]

FORMS = [
    Form(
        "includes of includes, with a folder and an env_file, and what only a new Compose knows",
        "include: [a/a.yml, {path: b/b.yml, project_directory: b, env_file: b/b.env}]\n"
        + own(
            "configs: [motd]",
            "secrets: [token]",
            "volumes: !reset []",
            "environment: !override {A: '1'}",
            "develop: {watch: [{path: ./src, action: rebuild}]}",
            others="configs: {motd: {content: 'hello ${WHO}'}}\nsecrets: {token: {environment: TOKEN}, unused: {file: ./none}}\n",
        ),
        ON_V2,
        runs=("CODE", "inner", "outer"),
        env="WHO=us\nTOKEN=t0ken\n",
        files={
            "a/a.yml": "include: [more/c.yml]\nservices: {}\n",
            "a/more/c.yml": "services:\n" + other("inner"),
            "b/b.yml": "services:\n" + other("outer", ", env_file: own.env", "'${REG}/CODE:${TAG}'"),
            "b/b.env": "TAG=VERSION\nREG=REGISTRY\n",
            "b/own.env": "A=1\n",
        },
    ),
    Form("an include that is missing", "include: [none.yml]\n" + own(), SAME_ON_V1, more=True),
    Form(
        "extends, merge keys and extensions",
        "x-base: &base\n  extends: {file: base/common.yml, service: base}\n  environment: &e {B: '2'}\n"
        "services:\n  second: {image: IMAGE, environment: {C: '3'}, profiles: [never]}\n"
        "  CODE:\n    <<: *base\n    ports: ['PORT:8080']\n    environment: {<<: *e, D: '4'}\n    x-note: {of: us}\n",
        files={"base/common.yml": "services:\n  base: {image: IMAGE, env_file: [one.env]}\n", "base/one.env": "A=1\n"},
        values={"A": "1", "B": "2", "D": "4"},
    ),
    Form(
        "extends of the same file",
        f"services:\n  base: {{image: IMAGE, environment: {{A: '1'}}, {SLEEP}}}\n"
        "  CODE: {extends: {service: base}, environment: {B: '2'}, command: [httpd, -f, -p, '8080'], ports: ['PORT:8080']}\n",
        runs=("CODE", "base"),
        values={"A": "1", "B": "2"},
        more=True,
    ),
    Form(
        "extends of one under a profile",
        "services:\n  base: {image: IMAGE, profiles: [never]}\n  CODE: {extends: {service: base}, ports: ['PORT:8080']}\n",
        (REFUSED, REFUSED),
        "CODE",
        more=True,
    ),
    Form(
        "a name from a variable, in flow style, the host's network, and a long bind that may be created",
        '{"name": "${NAME:-other}", "services": {CODE: {image: IMAGE, network_mode: host, env_file: .env, '
        "volumes: [{type: bind, source: /srv/CODE-made, target: /v, bind: {create_host_path: true}}]}}}\n",
        ON_V2,
        by_hand=True,
    ),
    Form(
        "Windows line ends, a mark, a megabyte and a hundred services",
        "\ufeff"
        + (own(others="".join(other(f"s{n}", ", profiles: [never]") for n in range(100))) + LINE * 10000).replace(
            "\n", "\r\n"
        ),
        env="A=1\r\n",
        values={"A": "1"},
        more=True,
    ),
    Form(
        "the host's network",
        "services:\n  CODE: {image: IMAGE, network_mode: host, env_file: .env}\n",
        (LEFT_OUT, UP),
    ),
    Form("an empty file", "", (REFUSED, REFUSED), more=True),
]


def lacks(
    name: str, line: str, says: str, others: str = "", ends: tuple[int, int] = (REFUSED, REFUSED), more: bool = False
) -> Form:
    return Form(name, own(line, others=others), ends, says, more=more)


MISSING = [
    # On v1 it is the first one, which runs.
    Form("nothing", own(), (LEFT_OUT, UP)),
    lacks("a secret's variable", "secrets: [s]", "NONE", "secrets: {s: {environment: NONE}}\n", SAME_ON_V1),
    lacks(
        "an external volume", "volumes: ['vol:/v']", "CODE-none", "volumes: {vol: {external: true, name: CODE-none}}\n"
    ),
    lacks("a long bind", "volumes: [{type: bind, source: /srv/CODE-none, target: /v}]", "/srv/CODE-none"),
    lacks(
        "a volume that binds a folder",
        "volumes: ['vol:/v']",
        "/srv/CODE-none",
        "volumes: {vol: {driver_opts: {type: none, o: bind, device: /srv/CODE-none}}}\n",
    ),
    lacks("a container of others", "ipc: 'container:CODE-none'", "CODE-none"),
    Form("an env_file", own().replace("[.env]", "[none.env]"), (REFUSED, REFUSED), "none.env"),
    lacks("a secret's file", "secrets: [s]", "none.txt", "secrets: {s: {file: ./none.txt}}\n", more=True),
    # v1 ignores configs.
    lacks(
        "a config's file", "configs: [s]", "none.txt", "configs: {s: {file: ./none.txt}}\n", (REFUSED, UP), more=True
    ),
    lacks("an external secret", "secrets: [s]", "", "secrets: {s: {external: true}}\n", SAME_ON_V1, more=True),
    lacks(
        "an external network",
        "networks: [n]",
        "CODE-none",
        "networks: {n: {external: true, name: CODE-none}}\n",
        more=True,
    ),
    lacks("a relative bind", "volumes: ['./none:/v']", "none", more=True),
    lacks(
        "a volume whose name v2 takes for a drive",
        "volumes: ['v:/v']",
        "v:/v",
        "volumes: {v: }\n",
        (REFUSED, UP),
        more=True,
    ),
    lacks("a variable that must be set", "environment: {A: '${NEEDED:?say it}'}", "NEEDED", "", SAME_ON_V1, more=True),
    lacks("a network that is not declared", "networks: [n]", "n", "", SAME_ON_V1, more=True),
    lacks("a volume that is not declared", "volumes: ['vol:/v']", "vol", "", SAME_ON_V1, more=True),
    lacks("a service that is not declared", "depends_on: [none]", "none", "", SAME_ON_V1, more=True),
]
ALL = {"values": VALUES, "companions": COMPANIONS, "forms": FORMS, "missing": MISSING}


class Trial:
    """Forms, deployed one after the other as one version. Refused ones need one before them that runs."""

    def __init__(self, site: Site) -> None:
        self.site, self.server = site, site.servers[0]
        self.place = f"label=com.docker.compose.project.working_dir=/docker/compose/{site.code}"
        self.version = site.publish("plain")
        self.names = {
            "IMAGE": f"'${{DOCKER_REGISTRY:-registry.example}}/{site.code}:${{VERSION:-latest}}'",
            "DIGEST": f"{site.registry.address}/{site.code}@{site.digest(self.version)}",
            "TAG=VERSION": f"TAG={self.version}",
            "REG=REGISTRY": f"REG={site.registry.address}",
            "CODE": site.code,
            "PORT": str(site.port),
        }

    def fill(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(name, value)
        return text

    def ends(self, form: Form) -> int:
        return form.ends[self.server.compose == "v1"]

    def containers(self, what: str = "{{.ID}} {{.Names}} {{.State}}", *filters: str) -> set[str]:
        listed = self.server.docker("ps", "-a", "--filter", self.place, *filters, "--format", what)
        return set(listed.splitlines())

    def write(self, form: Form) -> None:
        self.site.write("docker-compose.yml", self.fill(form.compose))
        self.site.write(".env", form.env)
        for name, text in form.files.items():
            self.site.write(name, self.fill(text))
        self.site.set("CONTAINER_PIPELINE_FILES", ",".join(sorted({name.partition("/")[0] for name in form.files})))

    def wrong(self, form: Form) -> str:
        """Deploy one variant; return its deviations."""
        self.write(form)
        before = self.state() if self.ends(form) == REFUSED else ()
        done = self.site("deploy", "--version", self.version)
        ends = self.ends(form)
        if done.code != ends or (ends == REFUSED and self.fill(form.says) not in done.err):
            return f"exit {done.code}, not {ends} with {form.says!r}: {done.err}"
        if ends == REFUSED:
            return "" if self.state() == before else "something was touched"
        return self.runs(form) or (self.by_hand() if form.by_hand else "")

    def state(self) -> tuple[object, ...]:
        return self.site.files(), self.containers()

    def runs(self, form: Form) -> str:
        running = self.containers('{{.Label "com.docker.compose.service"}} {{.State}}')
        if running != {f"{self.fill(name)} running" for name in form.runs}:
            return f"{running} are there"
        mine = ("--filter", f"label=com.docker.compose.service={self.site.code}")
        (container,) = self.containers("{{.ID}}", *mine)
        pairs = json.loads(self.server.docker("inspect", "-f", "{{json .Config.Env}}", container))
        has = dict(pair.partition("=")[::2] for pair in pairs)
        wanted = {name: self.fill(value) for name, value in form.values.items()}
        return "" if wanted.items() <= has.items() else f"{has}"

    def by_hand(self) -> str:
        before = self.containers()
        said = self.site.sh(
            f"{'docker-compose' if self.server.compose == 'v1' else 'docker compose'} up -d 2>&1 || true"
        )
        return "" if self.containers() == before else f"by hand, other containers run: {said}"


GROUPS = [
    pytest.param(0, [form for forms in ALL.values() for form in forms if not form.more], id="compose-v2"),
    pytest.param(1, PROFILES, id="compose-v1-profiles"),
    pytest.param(
        0,
        [form for forms in ALL.values() for form in forms if form.more],
        id="compose-v2-more",
        marks=pytest.mark.matrix,
    ),
    *(pytest.param(1, forms, id=f"compose-v1-{name}", marks=pytest.mark.matrix) for name, forms in ALL.items()),
]


@pytest.mark.parametrize(("either", "forms"), GROUPS, indirect=["either"])
def test_compose_variants_run_as_defined_or_change_nothing(either: Site, forms: list[Form]):
    trial = Trial(either)
    forms = [form for form in forms if trial.ends(form) != LEFT_OUT]
    wrong = "\n".join(f"{form.name}: {why}" for form in forms for why in [trial.wrong(form)] if why)
    assert not wrong, wrong
