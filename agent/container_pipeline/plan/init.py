"""The files of a new project, by the convention."""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Mapping
from typing import Any

from container_pipeline.keys import KEYS, PROJECT_FILE
from container_pipeline.plan.detect import Shape
from container_pipeline.plan.yamltext import scalar

#: Tools that convert a lock file to requirements; every supported Python can install these versions.
_EXPORTERS = {
    "uv": ("uv==0.8.15", "uv export --frozen --no-dev --no-emit-project --output-file requirements.txt"),
    "poetry": ("poetry==2.1.4 poetry-plugin-export==1.9.0", "poetry export --output requirements.txt"),
    "pipenv": ("pipenv==2024.4.1", "pipenv requirements --hash > requirements.txt"),
}
_INSTALL = "pip install --no-cache-dir"
_LISTED = "print(chr(10).join(tomllib.load(open('/tmp/pyproject.toml', 'rb'))['project'].get('dependencies', [])))"
#: Every response except a server error counts: not every service has a page at /.
_CHECK = (
    "import http.client; c = http.client.HTTPConnection('127.0.0.1', {port}, timeout=2); "
    "c.request('GET', '/'); raise SystemExit(c.getresponse().status >= 500)"
)


def files(shape: Shape, code: str, namespace: str = "", registry: str = "", host_port: int = 0) -> dict[str, str]:
    """Return name → text of all files. ``host_port`` is the published port (default: the service's port)."""
    values = {
        "CODE": code,
        "SERVICE": scalar(code),
        "IMAGE": f"{namespace}/{code}" if namespace else code,
        "REGISTRY": registry or "registry.example",
        "CHECK": _healthcheck(shape.port) if shape.port else "",
        "PORTS": f"    ports:\n      - {_mapping(host_port or shape.port, shape.port)}\n" if shape.port else "",
        **_dockerfile(shape),
    }
    return {
        "Dockerfile": _fill("Dockerfile", values),
        ".dockerignore": _fill("dockerignore", values),
        ".env": _fill("env", values),
        "docker-compose.yml": _fill("docker-compose.yml", values),
        "Jenkinsfile": _fill("Jenkinsfile", values),
        PROJECT_FILE: project_file({"code": code, **({"namespace": namespace} if namespace else {}), "cache": True}),
    }


def _mapping(host: int, container: int) -> str:
    """Return a port mapping, quoted if YAML 1.1 would read it as a number in base 60."""
    text = f"{host}:{container}"
    return f'"{text}"' if container < 60 else text


def _fill(name: str, values: Mapping[str, str]) -> str:
    text = (pkgutil.get_data("container_pipeline", f"templates/{name}") or b"").decode()
    return re.sub(r"@([A-Z]+)@", lambda found: values[found[1]], text)


def _dockerfile(shape: Shape) -> dict[str, str]:
    base = f"python:{shape.python}" + ("" if shape.compiles else "-slim")
    command = [word.replace("PORT", str(shape.port)) for word in shape.command]
    return {
        "BASE": base,
        "LISTING": _listing(shape, base),
        "DEPENDENCIES": _dependencies(shape),
        "INSTALL": f"RUN {_INSTALL} --no-deps .\n" if shape.installs_project else "",
        "PATH": " PYTHONPATH=/myapps/src" if shape.source_path and not shape.installs_project else "",
        "PORT": f"EXPOSE {shape.port}/tcp\n" if shape.port else "",
        "COMMAND": json.dumps(command),
    }


def _listing(shape: Shape, base: str) -> str:
    """Return the stage that converts a lock file to requirements, so that the image does not contain the tool."""
    if shape.manager not in _EXPORTERS:
        return ""
    tool, export = _EXPORTERS[shape.manager]
    lines = (
        f"# The lock as a list that pip reads; {shape.manager} itself stays out of the image.",
        f"FROM {base} AS listing",
        "WORKDIR /listing",
        "ARG PIP_INDEX_URL",
        f"RUN {_INSTALL} {tool}",
        f"COPY {' '.join(shape.listed)} ./",
        f"RUN {export}",
        "",
    )
    return "\n".join(lines) + "\n"


def _dependencies(shape: Shape) -> str:
    """Return the layer of dependencies, which is rebuilt only when their list changes."""
    lines = []
    if shape.manager == "pip":
        lines += [_copied(shape.listed), f"RUN {_INSTALL} -r {shape.listed[0]}"]
    elif shape.manager in _EXPORTERS:
        lines += ["COPY --from=listing /listing/requirements.txt /tmp/", f"RUN {_INSTALL} -r /tmp/requirements.txt"]
    elif shape.manager == "project":
        toml = (
            "import tomllib"
            if int(shape.python.partition(".")[2]) >= 11
            else "from pip._vendor import tomli as tomllib"
        )
        lines += ["COPY pyproject.toml /tmp/"]
        lines += [f'RUN python -c "{toml}; {_LISTED}" > /tmp/requirements.txt && {_INSTALL} -r /tmp/requirements.txt']
    if shape.adds:
        lines.append(f"RUN {_INSTALL} {' '.join(shape.adds)}")
    if not lines:
        return ""
    return "\n".join(["# Dependencies first: a change of the code alone does not install them again.", *lines]) + "\n"


def _copied(listed: tuple[str, ...]) -> str:
    folders = {name.rpartition("/")[0] for name in listed}
    if folders == {""}:
        return f"COPY {' '.join(listed)} ./"
    return "\n".join(f"COPY {name} ./{name.rpartition('/')[0] or '.'}/" for name in listed)


def _healthcheck(port: int) -> str:
    """Return the web service's healthcheck. It is not in the image, because a worker of the same image does not listen."""
    check = json.dumps(["CMD", "python", "-c", _CHECK.format(port=port)])
    return (
        "    # Every response below 500 counts, because / may not exist: name a path that fails when the service does.\n"
        f"    healthcheck:\n      test: {check}\n      interval: 5s\n      timeout: 3s\n"
        "      retries: 3\n      start_period: 30s\n"
    )


def gitignore(there: str) -> str:
    """Return the new ``.gitignore``: its lines ``there``, then the lines that it lacks."""
    wanted = _fill("gitignore", {})
    if not there.strip():
        return wanted
    have = {line.strip().strip("/") for line in there.splitlines()}
    missing = [line for line in wanted.splitlines() if not line.startswith("#") and line.strip("/") not in have]
    return there if not missing else there.rstrip("\n") + "\n" + "\n".join(missing) + "\n"


def project_file(given: Mapping[str, Any]) -> str:
    """Return container-pipeline.yml: the keys ``given``, and every other key as a comment with its default."""
    lines = [
        "# Settings of container-pipeline. An option wins over a CONTAINER_PIPELINE_… variable, that over this file."
    ]
    for key in KEYS:
        lines += ["", f"# {key.help}"]
        value = given.get(key.name, list(key.default) if isinstance(key.default, tuple) else key.default)
        text = f"{key.name}: {_yaml(value)}"
        lines.append(text if key.name in given else f"# {text}")
    return "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    """Return a value as YAML in flow style, like JSON; plain words are not quoted."""
    return scalar(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
