"""The Docker engine over its API, at DOCKER_HOST or the default socket.

Credentials are sent with the call that needs them and stored nowhere. API: docs.docker.com/reference/api/engine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from container_pipeline import environment
from container_pipeline.console import Console, Task
from container_pipeline.errors import BuildError, EngineError, PipelineError, RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import CREATED, ImageRef, RegistryAccess, build_time
from container_pipeline.outside import MESSAGE, Unreadable, maps, pick, read_json, short
from container_pipeline.project import context

if TYPE_CHECKING:
    import docker
    import requests

#: Seconds without a byte from the engine after which a call fails.
SILENCE = 600
#: The same for a build, whose steps can be silent for long; and the limit in seconds for a whole build, push or pull.
QUIET = 3600
LONGEST = 6 * 3600
#: Lines of a failed step that are repeated at the end.
LAST_LINES = 20
#: Bounds of a response that is read at once, such as a list of containers: bytes, values, seconds.
LARGEST = 24 << 20
_VALUES = 500_000
WHOLE = 300
#: Bounds of an event stream in bytes: one event, and all events, since a build's log may be long.
_EVENT = 1 << 20
_EVENTS = 1 << 30
_PIECE = 1 << 16
#: Most layers whose progress is shown; an image has at most 127.
_LAYERS = 500


@dataclass(frozen=True)
class Image:
    """An image in the engine. ``digests`` are those from registries; ``size`` is in bytes."""

    id: str
    digests: frozenset[str] = frozenset()
    size: int = 0
    created: str = ""


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build, for either builder."""

    dockerfile: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache: bool = False
    logins: tuple[RegistryAccess, ...] = ()


class Engine:
    """One engine. ``client`` is docker-py's client, for calls without a method here; every error is a PipelineError."""

    def __init__(self, console: Console) -> None:
        import docker.utils

        self._console = console
        failed = _("the Docker engine cannot be reached")
        with engine_errors(failed, _START):
            try:
                self.client: docker.APIClient = _client()(
                    version="auto",
                    timeout=SILENCE,
                    use_ssh_client=True,
                    credstore_env=environment.emptied(),
                    **docker.utils.kwargs_from_env(),
                )
            except (ValueError, TypeError, LookupError, AttributeError) as error:  # from the engine's version response
                raise EngineError(failed + ": " + _("its response cannot be read"), _START) from error

    def image(self, name: ImageRef | str) -> Image | None:
        """Return the image with a name or id, None if the engine has none."""
        import docker.errors

        with engine_errors(_("the engine did not respond for {image}", image=name)):
            try:
                found = self.client.inspect_image(str(name))
            except docker.errors.ImageNotFound:
                return None
            digests = frozenset(entry.partition("@")[2] for entry in _names(found, "RepoDigests"))
            label = build_time(pick(pick(found, "Config", dict), "Labels", dict).get(CREATED))
            return Image(identity(found), digests, pick(found, "Size", int), label or pick(found, "Created", str))

    def tags(self, image: ImageRef) -> dict[str, str]:
        """Return tag → image id for all tags of an image's repository in the engine."""
        name = image.familiar
        with engine_errors(_("the engine did not respond for {image}", image=name)):
            found = self.client.images(name)
            names = [(text, identity(one)) for one in maps({"": found}, "") for text in _names(one, "RepoTags")]
        return {text.rpartition(":")[2]: one for text, one in names if text.rpartition(":")[0] == name}

    def used(self) -> set[str]:
        """Return the ids of all images that containers use, running or not."""
        with engine_errors(_("the engine did not list its containers")):
            found = {"": self.client.containers(all=True)}
            return {identity(container, "ImageID") for container in maps(found, "")}

    def remove(self, image: ImageRef) -> None:
        """Remove a name, and with the last one the image; never an image that a container uses."""
        with engine_errors(_("{image} could not be removed", image=image)):
            self.client.remove_image(str(image))

    def tag(self, source: ImageRef, target: ImageRef) -> None:
        with engine_errors(_("{image} could not be tagged", image=source)):
            self.client.tag(str(source), target.name, target.tag)

    def push(self, image: ImageRef, access: RegistryAccess) -> str:
        """Push an image; return its digest in the registry.

        Raises RegistryError if the engine's stream has an error or no digest: the call itself returns 200 before the first
        byte is pushed.
        """
        failed = _("{image} could not be pushed", image=image)
        with engine_errors(failed), ExitStack() as tasks:
            layers = _Layers(self._console, tasks)
            for event in read_events(self.client.push(image.name, image.tag, stream=True, auth_config=_login(access))):
                if event.get("error"):
                    raise _refused(failed, event, access)
                layers.see(event)
        if not re.fullmatch("sha256:[0-9a-f]{64}", layers.digest):
            raise RegistryError(failed + ": " + _("the engine finished without a digest"), _("push it again"))
        return layers.digest

    def pull(self, image: ImageRef, access: RegistryAccess) -> None:
        failed = _("{image} could not be pulled", image=image)
        login = _login(access) if access.user else None
        with engine_errors(failed):
            for event in read_events(self.client.pull(image.name, image.tag, stream=True, auth_config=login)):
                if event.get("error"):
                    raise _refused(failed, event, access)

    def build(self, folder: Path, image: ImageRef, options: BuildOptions) -> None:
        """Build with the engine's own builder; raises BuildError with the failed step."""
        log = BuildLog(self._console)
        dockerfile, extra = context.place_dockerfile(folder, Path(options.dockerfile))
        ignored = context.Ignored.read(folder, always=(dockerfile, context.IGNORE_FILE))
        for access in options.logins:
            # docker-py has no argument for a build's logins: it sends those that it holds in memory.
            self.client._auth_configs.add_auth(access.registry.login_key, _login(access))
        failed = _("{image} could not be built", image=image)
        with engine_errors(failed), self._console.task(_("build context")) as task:
            events = self.client.build(
                fileobj=context.stream(folder, ignored, extra, task.advance),
                custom_context=True,
                tag=str(image),
                dockerfile=dockerfile,
                timeout=QUIET,
                nocache=not options.cache,
                rm=True,
                forcerm=True,
                buildargs=dict(options.arguments),
                labels=dict(options.labels),
            )
            for event in read_events(events):
                log.see(event)


def _client() -> type[docker.APIClient]:
    """Return docker-py's client with bounded responses: read at once, or streamed in small pieces."""
    import docker

    from container_pipeline.clients import answers

    class Client(docker.APIClient):  # type: ignore[misc] # it has no types
        def send(self, request: Any, **options: Any) -> requests.Response:
            streamed = bool(options.get("stream"))
            answer: requests.Response = super().send(request, **{**options, "stream": True})
            upgraded = request.headers.get("Upgrade") and answer.ok
            is_file = "tar" in answer.headers.get("Content-Type", "") or "octet" in answer.headers.get(
                "Content-Type", ""
            )
            chunked = "chunked" in answer.headers.get("Transfer-Encoding", "")
            if upgraded:
                return answer
            if not (streamed and answer.ok and (chunked or is_file)):
                answers.read(answer, LARGEST, WHOLE)
                if not answer.ok or "json" in answer.headers.get("Content-Type", ""):
                    _check_json(answer)
                return answer
            # docker-py reads a whole chunk at a time, whatever length the engine declares.
            read = answer.raw.read

            def in_pieces(amt: int | None = None, *more: Any, **named: Any) -> bytes:
                return read(_PIECE if amt is None else min(amt, _PIECE), *more, **named)

            answer.raw.read = in_pieces  # type: ignore[method-assign]
            return answer

    return Client


def _check_json(answer: requests.Response) -> None:
    """Raise Unreadable for JSON beyond the bounds; drop an error message that cannot be read."""
    try:
        found = read_json(answer.content, object, LARGEST, _VALUES) if answer.content.strip() else {}
        if not answer.ok and not (isinstance(found, dict) and isinstance(found.get("message"), str)):
            raise Unreadable("")
    except Unreadable:
        if answer.ok:
            raise
        # docker-py searches it for a message.
        answer._content = b'{"message": ""}'


def read_events(stream: Iterable[bytes | str]) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream, one JSON map per line; raises Unreadable beyond the bounds."""
    total, kept, end = 0, bytearray(), time.monotonic() + LONGEST
    for piece in stream:
        data = piece.encode() if isinstance(piece, str) else piece
        total += len(data)
        kept += data
        *lines, rest = kept.split(b"\n") if b"\n" in data else [kept]
        if total > _EVENTS or len(rest) > _EVENT or time.monotonic() > end:
            raise Unreadable(_("its response does not end"))
        for line in lines:
            if line.strip():
                yield read_json(bytes(line), dict, _EVENT)
        kept = rest
    if kept.strip():
        yield read_json(bytes(kept), dict, _EVENT)


def identity(data: Any, name: str = "Id") -> str:
    """Return the id in the engine's response; raises Unreadable if there is none."""
    found = pick(data, name, str)
    if not found:
        raise Unreadable(_("it is JSON, but not in the expected form"))
    return found


def _names(data: Any, name: str) -> list[str]:
    return [entry for entry in pick(data, name, list) if isinstance(entry, str)]


STUCK = _("check the engine's log, restart it if it hangs, and run the command again")
_START = _("start it, or set DOCKER_HOST; `container-pipeline doctor` shows more")


@contextmanager
def engine_errors(failed: str, hint: str = "") -> Iterator[None]:
    """Convert exceptions of docker-py and requests to an EngineError that begins with ``failed``."""
    import docker.errors
    import requests
    from urllib3.exceptions import HTTPError  # docker-py reads streams without requests

    try:
        yield
    except (PipelineError, BrokenPipeError):
        # A broken pipe comes from our own reader, such as head; one of the engine arrives as an error of requests.
        raise
    except docker.errors.APIError as error:
        raise EngineError(f"{failed}: {short(error.explanation or error)}", hint) from error
    except Unreadable as error:
        raise EngineError(
            f"{failed}: " + _("the engine's response cannot be read: {problem}", problem=error.problem)
        ) from error
    except (docker.errors.DockerException, requests.RequestException, HTTPError, OSError) as error:
        reason = _reason(error)
        if "timed out" in reason.lower():
            raise EngineError(f"{failed}: " + _("the engine stopped responding"), STUCK) from error
        denied = _("this user may not use Docker; add it to the socket's group, such as docker")
        raise EngineError(f"{failed}: {reason}", denied if "Permission denied" in reason else hint or _START) from error


def _reason(error: BaseException) -> str:
    """Return the message of the innermost cause that has one, in one line."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return short(str(error).splitlines()[0]) if str(error).strip() else type(error).__name__


def _login(access: RegistryAccess) -> dict[str, str]:
    return {
        "username": access.user,
        "password": access.password.reveal(),
        "serveraddress": access.registry.login_key,
    }


def _refused(failed: str, event: Mapping[str, Any], access: RegistryAccess) -> RegistryError:
    from container_pipeline.clients.registry import sentences

    text = short(event["error"], MESSAGE)
    denied = any(word in text for word in ("unauthorized", "denied", "no basic auth", "authentication required"))
    user, password = f"{access.login_variable}_USER", f"{access.login_variable}_PASS"
    hint = _("check {user} and {password}", user=user, password=password) if denied else ""
    hint = sentences.immutable() if "immutable" in text else hint
    if _OF_A_KIND.search(text):
        hint = _(
            "if BuildKit attached attestations to the image, the registry may not take them: set `attest: false`, and build again"
        )
    return RegistryError(f"{failed}: {text}", hint)


#: How registries refuse a kind of manifest: Aliyun's, Harbor and Artifactory, GitLab.
_OF_A_KIND = re.compile(r"(?i)manifest class|manifest.invalid|unsupported (?:manifest|media)|blob unknown to registry")


class _Layers:
    """Shows the progress of each layer of a push, and keeps the digest at its end."""

    def __init__(self, console: Console, tasks: ExitStack) -> None:
        self._console, self._tasks = console, tasks
        self._layers: dict[str, Task] = {}
        self._done: dict[str, int] = {}
        self.digest = ""

    def see(self, event: Mapping[str, Any]) -> None:
        self.digest = pick(pick(event, "aux", dict), "Digest", str) or self.digest
        layer, detail = short(pick(event, "id", str), 64), pick(event, "progressDetail", dict)
        current, total = pick(detail, "current", int, -1), pick(detail, "total", int)
        if not layer or current < 0 or (layer not in self._layers and len(self._layers) >= _LAYERS):
            return
        if layer not in self._layers:
            title = _("layer {layer}", layer=layer)
            self._layers[layer] = self._tasks.enter_context(self._console.task(title, max(0, total)))
        self._layers[layer].advance(current - self._done.get(layer, 0))
        self._done[layer] = current


class BuildLog:
    """Shows a build's output, and keeps the running step in case it fails."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step = ""
        self._lines: list[str] = []

    def see(self, event: Mapping[str, Any]) -> None:
        """Handle one event of the engine's stream; raises BuildError for an error."""
        if "error" in event:
            code = pick(event, "errorDetail", dict).get("code")
            problem = short(event["error"], MESSAGE)
            raise build_error(self._step, self._lines, code if type(code) is int else None, problem)
        for line in (pick(event, "stream", str) or pick(event, "status", str)).splitlines():
            if line.startswith("Step "):
                self._step, self._lines = short(line.partition(" : ")[2] or line), []
            elif line.strip() and not line.startswith((" ---> ", "Removing intermediate container ")):
                self._lines = [*self._lines[1 - LAST_LINES :], line]
            if line.strip() and not event.get("progress"):
                self._console.line(line)


def build_error(step: str, lines: Iterable[str], code: int | None, problem: str) -> BuildError:
    """Return the error of a build that failed in ``step``, with the step's last lines as details."""
    if not step:
        return BuildError(_("the build failed: {problem}", problem=problem))
    if code is None:
        return BuildError(_("the build failed in {step}: {problem}", step=step, problem=problem), details=tuple(lines))
    return BuildError(
        _("the build failed in {step}: exit code {code}", step=step, code=code),
        _("its last lines are above"),
        details=tuple(lines),
    )
