"""CP2…: the Compose file."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator

import yaml

from container_pipeline.i18n import _
from container_pipeline.plan.lint.composefile import (
    ParsedCompose,
    ParsedService,
    get,
    insert,
    items,
    line,
    pairs,
    replace_value,
)
from container_pipeline.plan.lint.dockerfile import Dockerfile
from container_pipeline.plan.lint.model import Facts, Hit, looks_secret, rule
from container_pipeline.plan.yamltext import scalar

_KIND = "docker-compose.yml"
ENVIRONMENT = {"TZ": "Asia/Shanghai", "LANG": "en_US.UTF-8", "LANGUAGE": "en_US:en", "LC_ALL": "en_US.UTF-8"}


def _service(file: ParsedCompose, facts: Facts) -> ParsedService | None:
    """Return the service with the project code as its name."""
    return file.services.get(facts.code)


@rule("CP200", _KIND, _("a Compose file is a YAML map with services"))
def not_compose(file: ParsedCompose, _facts: Facts) -> Iterator[Hit]:
    if file.problem:
        yield Hit(file.problem[0], _("it is not one YAML document: {problem}", problem=file.problem[1]))
    elif not file.services and not file.includes:
        yield Hit(1, _("it has no services"), _("write `services:`, and the project code below it"))


@rule("CP201", _KIND, _("the service must be named after the project code, by which deploy, status and logs find it"))
def service_name(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    services = file.services
    if facts.code and services and facts.code not in services and not file.includes:
        first = next(iter(services.values()))
        edit = replace_value(file.source, first.key, scalar(facts.code)) if len(services) == 1 else None
        yield Hit(
            first.line,
            _("no service is named {code}", code=facts.code),
            _("name the service after the project code"),
            edit,
        )


@rule("CP202", _KIND, _("container_name must be the project code, by which people find the container"))
def container_name(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    service = _service(file, facts)
    replicas = service and (service.text("deploy", "replicas") or service.text("scale"))
    # Several containers cannot share a name: Compose refuses it with more than one replica.
    if service and (service.get("container_name") is not None or replicas in ("", "0", "1")):
        yield from _must_be_code(file, facts, "container_name")


@rule("CP203", _KIND, _("hostname must be the project code, which logs and metrics show"))
def hostname(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    service = _service(file, facts)
    # The engine refuses a hostname for a container that shares another container's or the host's network.
    shared = service and (service.text("network_mode").startswith(("container:", "service:")) or service.text("uts"))
    if not shared:
        yield from _must_be_code(file, facts, "hostname")


def _must_be_code(file: ParsedCompose, facts: Facts, name: str) -> Iterator[Hit]:
    service = _service(file, facts)
    if service is None:
        return
    node = service.get(name)
    code = scalar(facts.code)
    wanted = _("write {text}", text=f"{name}: {code}")
    if node is None:
        if service.lacks(name):
            yield Hit(service.line, _("{name} is missing", name=name), wanted, service.add((f"{name}: {code}",)))
    elif node.value != facts.code:
        yield Hit(
            line(node),
            _("{name} is {value}", name=name, value=node.value),
            wanted,
            replace_value(file.source, node, code),
        )


def _variable(name: str) -> str:
    """Return the pattern of a variable: with or without braces, with a default (which may contain a variable) or an error."""
    return rf"\$(?:{name}|\{{{name}(?::?[-?](?:[^{{}}]|\$\{{[^{{}}]*\}})*)?\}})"


@rule("CP204", _KIND, _("the image's registry and version must be variables, which each deploy sets"))
def image_form(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    service = _service(file, facts)
    if service is None:
        return
    node, path = service.get("image"), f"{facts.namespace}/{facts.code}" if facts.namespace else facts.code
    form = rf"{_variable('DOCKER_REGISTRY')}/(?:[\w./-]+/)?{re.escape(path)}:{_variable('VERSION')}"
    image = service.text("image")
    if node is not None and not re.fullmatch(form, image):
        plain = re.fullmatch(r"([^/$]+[.:][^/$]*)/([\w./-]+?)(?::[\w.-]+)?", image)
        default = plain[1] if plain else "registry.example"
        wanted = f"${{DOCKER_REGISTRY:-{default}}}/{path}:${{VERSION:-latest}}"
        edit = replace_value(file.source, node, wanted) if plain and plain[2] == path else None
        yield Hit(line(node), _("image is {value}", value=image), _("write {text}", text=wanted), edit)
    elif node is None and service.lacks("image"):
        yield Hit(
            service.line,
            _("{name} is missing", name="image"),
            _("write {text}", text=f"image: ${{DOCKER_REGISTRY:-registry.example}}/{path}:${{VERSION:-latest}}"),
        )


@rule("CP205", _KIND, _("restart: unless-stopped brings the service back after a crash or a reboot"))
def restart(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    service = _service(file, facts)
    if (
        service is None
        or service.text("restart") in ("unless-stopped", "always")
        or service.get("deploy", "restart_policy")
    ):
        return
    node, wanted = service.get("restart"), _("write {text}", text="restart: unless-stopped")
    if node is not None:
        yield Hit(
            line(node),
            _("{name} is {value}", name="restart", value=node.value),
            wanted,
            replace_value(file.source, node, "unless-stopped"),
        )
    elif service.lacks("restart"):
        yield Hit(
            service.line, _("{name} is missing", name="restart"), wanted, service.add(("restart: unless-stopped",))
        )


@rule("CP206", _KIND, _("a log without a limit fills the server's disk"))
def log_rotation(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    service = _service(file, facts)
    if service is None or service.text("logging", "driver") not in ("", "json-file", "local"):
        return
    logging = service.get("logging")
    if logging is None and service.lacks("logging"):
        block = ("logging:", '  driver: "json-file"', "  options:", '    max-size: "128m"', '    max-file: "20"')
        yield Hit(
            service.line,
            _("{name} is missing", name="logging"),
            _("limit it with max-size and max-file"),
            service.add(block),
        )
    elif logging is not None and not service.text("logging", "options", "max-size"):
        edit = insert(file.source, service.get("logging", "options"), ('max-size: "128m"',))
        yield Hit(
            line(logging), _("{name} is missing", name="max-size"), _("write {text}", text='max-size: "128m"'), edit
        )


@rule("CP207", _KIND, _("env_file passes the variables in .env to the service"))
def env_file(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    service = _service(file, facts)
    if service is not None and service.lacks("env_file"):
        yield Hit(
            service.line,
            _("{name} is missing", name="env_file"),
            _("write {text}", text="env_file: .env"),
            service.add(("env_file:", "  - .env")),
        )


@rule("CP208", _KIND, _("the convention's services may rely on memlock without a limit"))
def memlock(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    service = _service(file, facts)
    if service is None or service.get("extends") is not None:
        return
    limit, memory = service.get("ulimits"), service.get("ulimits", "memlock")
    block = ("memlock:", "  soft: -1", "  hard: -1")
    if limit is None:
        edit = service.add(("ulimits:", *("  " + text for text in block)))
        yield Hit(service.line, _("{name} is missing", name="ulimits"), _("set memlock soft and hard to -1"), edit)
    elif memory is None:
        yield Hit(
            line(limit),
            _("{name} is missing", name="memlock"),
            _("set memlock soft and hard to -1"),
            insert(file.source, limit, block),
        )
    elif {str(value.value) for _key, value in pairs(memory)} | (
        {memory.value} if isinstance(memory, yaml.ScalarNode) else set()
    ) != {"-1"}:
        yield Hit(line(memory), _("memlock has a limit"), _("set memlock soft and hard to -1"))


@rule("CP209", _KIND, _("time zone and language must be the same on every server"))
def time_and_language(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    service = _service(file, facts)
    if service is None or service.get("extends") is not None:
        return
    said = {name: value for name, value, _line in service.environment()}
    missing = [name for name in ENVIRONMENT if name not in said]
    node = service.get("environment")
    if missing:
        pattern = "{}: {}" if isinstance(node, yaml.MappingNode) else "- {}={}"
        lines = tuple(pattern.format(name, ENVIRONMENT[name]) for name in missing)
        edit = (
            insert(file.source, node, lines)
            if node
            else service.add(("environment:", *("  " + text for text in lines)))
        )
        where = line(node) if node else service.line
        yield Hit(
            where,
            _("`environment:` lacks {names}", names=", ".join(missing)),
            _("add {text}", text=", ".join(f"{name}={ENVIRONMENT[name]}" for name in missing)),
            edit,
        )


@rule("CP210", _KIND, _("YAML reads 22:22 as a number in base 60"))
def sexagesimal(file: ParsedCompose, _facts: Facts) -> Iterator[Hit]:
    for service in file.services.values():
        for item in items(service.get("ports")):
            if isinstance(item, yaml.ScalarNode) and item.style is None and re.fullmatch(r"\d+:[0-5]?\d", item.value):
                yield Hit(
                    line(item),
                    _("port {value} is read as a number", value=item.value),
                    _("put it in quotes"),
                    replace_value(file.source, item, f'"{item.value}"'),
                )


@rule("CP211", _KIND, _("without a version, Compose v1 reads every key as a service"))
def version(file: ParsedCompose, _facts: Facts) -> Iterator[Hit]:
    if file.services and get(file.root, "version") is None:
        yield Hit(
            1,
            _("{name} is missing", name="version"),
            _("write {text}", text='version: "3.5"'),
            insert(file.source, file.root, ('version: "3.5"',)),
        )


@rule("CP212", _KIND, _("a secret in the Compose file ends up in the repository"))
def secret_in_compose(file: ParsedCompose, _facts: Facts) -> Iterator[Hit]:
    for service in file.services.values():
        for name, value, where in service.environment():
            if looks_secret(name, value):
                yield Hit(where, _("{name} contains a secret", name=name), _("move it to .env, which is not committed"))


@rule("CP213", _KIND, _("servers have no sources: they run images from a registry"))
def build_on_server(file: ParsedCompose, _facts: Facts) -> Iterator[Hit]:
    for service in file.services.values():
        node = service.get("build")
        if node is not None:
            yield Hit(
                line(node),
                _("{service} is built on the server", service=service.name),
                _("remove `build:`; the pipeline builds and pushes"),
            )


@rule("CP214", _KIND, _("a mounted file must be on the server; `files:` uploads it with the release"))
def mounted_file(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    for service in file.services.values():
        for item in items(service.get("volumes")):
            source = get(item, "source") if isinstance(item, yaml.MappingNode) else item
            path = str(source.value).split(":")[0] if source is not None else ""
            name = path[2:].rstrip("/") if path.startswith("./") else ""
            if name.split("/")[0] in facts.names and not any(
                name == one or name.startswith(one.rstrip("/") + "/") for one in facts.uploaded
            ):
                yield Hit(
                    line(item),
                    _("{path} is mounted but not uploaded", path=path),
                    _("add it to `files:` in container-pipeline.yml"),
                )


#: Programs that a `command:` begins with only where it means a program of its own, not arguments of the image's.
_PROGRAMS = re.compile(
    r"python[\d.]*|node|npm|java|ruby|php|perl|sh|bash|celery|gunicorn|uvicorn|rq|dramatiq|flask|dotnet|\.{0,2}/.*"
)
#: Programs that start the one in their arguments, and scripts that may.
_STARTERS = re.compile(r"tini|dumb-init|catatonit|init|env|exec|su-exec|gosu|sh|bash")
_SCRIPTS = re.compile(r".*entry.?point.*|.*\.(?:sh|bash)")


@rule(
    "CP216", _KIND, _("`command:` is appended to the image's ENTRYPOINT, so a worker runs the web server a second time")
)
def worker_command(file: ParsedCompose, facts: Facts) -> Iterator[Hit]:
    own = _service(file, facts)
    image = own.text("image") if own else ""
    program = _entrypoint(facts) if image else ""
    for service in file.services.values() if program else ():
        node = service.get("command")
        if service is own or node is None or service.text("image") != image or not service.lacks("entrypoint"):
            continue
        words = [str(item.value) for item in items(node)] or _split(service.text("command"))
        if words and _PROGRAMS.fullmatch(words[0]):
            yield Hit(
                line(node),
                _(
                    "{service} runs the image's ENTRYPOINT, {program}, with this command as its arguments",
                    service=service.name,
                    program=program,
                ),
                _("write `entrypoint:` instead of `command:`"),
            )


def _entrypoint(facts: Facts) -> str:
    """Return the program that the image always runs; "" where it has none, or one that starts what it is given."""
    if facts.dockerfile is None:
        return ""
    found = [one for one in Dockerfile(facts.dockerfile).image if one.keyword == "ENTRYPOINT"]
    words = found[-1].words if found else []
    if not words or any("$@" in word or "$*" in word for word in words):
        return ""
    names = [posixpath.basename(word) for word in words if not word.startswith("-")]
    program = next((name for name in names if not _STARTERS.fullmatch(name)), "")
    return "" if _SCRIPTS.fullmatch(program) else program


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
