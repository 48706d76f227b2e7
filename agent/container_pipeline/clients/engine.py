"""The Docker engine, over its API: found by DOCKER_HOST or the default socket.

Credentials travel in the call that needs them and rest nowhere. API: docs.docker.com/reference/api/engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from container_pipeline.clients import context, environment
from container_pipeline.console import Console, Task
from container_pipeline.errors import BuildError, EngineError, PipelineError, RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import ImageRef, RegistryAccess

if TYPE_CHECKING:
    import docker

#: Seconds without one byte from the engine after which a call is given up.
SILENCE = 600
#: Lines of a failing step that are shown again at the end.
LAST_LINES = 20


@dataclass(frozen=True)
class Image:
    """An image in the engine. ``digests`` are those that registries gave it; ``size`` is in bytes."""

    id: str
    digests: frozenset[str] = frozenset()
    size: int = 0
    created: str = ""


@dataclass(frozen=True)
class BuildOptions:
    """What a build is told, whichever builder carries it out."""

    dockerfile: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache: bool = False
    logins: tuple[RegistryAccess, ...] = ()


class Engine:
    """One engine. ``client`` is docker-py's, for what has no method here; every error is a PipelineError."""

    def __init__(self, console: Console) -> None:
        import docker
        import docker.utils

        self._console = console
        with engine_errors(_("the Docker engine cannot be reached"), _START):
            self.client: docker.APIClient = docker.APIClient(
                version="auto",
                timeout=SILENCE,
                use_ssh_client=True,
                credstore_env=environment.emptied(),
                **docker.utils.kwargs_from_env(),
            )

    def image(self, name: ImageRef | str) -> Image | None:
        """Return the image that a name or an id names, None where the engine has none."""
        import docker.errors

        with engine_errors(_("the engine did not answer for {image}", image=name)):
            try:
                found = self.client.inspect_image(str(name))
            except docker.errors.ImageNotFound:
                return None
        digests = frozenset(entry.partition("@")[2] for entry in found.get("RepoDigests") or ())
        return Image(found["Id"], digests, found.get("Size", 0), found.get("Created", ""))

    def tags(self, image: ImageRef) -> dict[str, str]:
        """Return the tags that the engine has of an image, whatever its own, and the ids that they name."""
        name = image.familiar
        with engine_errors(_("the engine did not answer for {image}", image=name)):
            found = self.client.images(name)
        names = [(text, image["Id"]) for image in found for text in image.get("RepoTags") or ()]
        return {text.rpartition(":")[2]: str(image) for text, image in names if text.rpartition(":")[0] == name}

    def used(self) -> set[str]:
        """Return the ids of the images that containers are made of, running or not."""
        with engine_errors(_("the engine did not list its containers")):
            return {str(container["ImageID"]) for container in self.client.containers(all=True)}

    def remove(self, image: ImageRef) -> None:
        """Remove a name, and with the last one the image; never one that a container is made of."""
        with engine_errors(_("{image} could not be removed", image=image)):
            self.client.remove_image(str(image))

    def tag(self, source: ImageRef, target: ImageRef) -> None:
        with engine_errors(_("{image} could not be tagged", image=source)):
            self.client.tag(str(source), target.name, target.tag)

    def push(self, image: ImageRef, access: RegistryAccess) -> str:
        """Push an image; return the digest that the registry gave it.

        Raises RegistryError where the engine tells of an error in its stream or of no digest: the call itself
        answers 200 before the first byte is pushed.
        """
        failed = _("{image} could not be pushed", image=image)
        with engine_errors(failed), ExitStack() as tasks:
            layers = _Layers(self._console, tasks)
            events = self.client.push(image.name, image.tag, stream=True, decode=True, auth_config=_login(access))
            for event in events:
                if event.get("error"):
                    raise _refused(failed, event, access)
                layers.see(event)
        if not layers.digest:
            raise RegistryError(failed + ": " + _("the engine ended without a digest"), _("push it again"))
        return layers.digest

    def pull(self, image: ImageRef, access: RegistryAccess) -> None:
        failed = _("{image} could not be pulled", image=image)
        login = _login(access) if access.user else None
        with engine_errors(failed):
            for event in self.client.pull(image.name, image.tag, stream=True, decode=True, auth_config=login):
                if event.get("error"):
                    raise _refused(failed, event, access)

    def build(self, folder: Path, image: ImageRef, options: BuildOptions) -> None:
        """Build by the engine's own builder; raises BuildError with the failing step."""
        log = BuildLog(self._console)
        dockerfile, extra = context.place_dockerfile(folder, Path(options.dockerfile))
        ignored = context.Ignored.read(folder, always=(dockerfile, context.IGNORE_FILE))
        for access in options.logins:
            # docker-py has no argument for a build's logins: it sends what it holds in memory.
            self.client._auth_configs.add_auth(access.registry.login_key, _login(access))
        failed = _("{image} could not be built", image=image)
        with engine_errors(failed), self._console.task(_("build context")) as task:
            events = self.client.build(
                fileobj=context.stream(folder, ignored, extra, task.advance),
                custom_context=True,
                tag=str(image),
                dockerfile=dockerfile,
                nocache=not options.cache,
                rm=True,
                forcerm=True,
                buildargs=dict(options.arguments),
                labels=dict(options.labels),
                decode=True,
            )
            for event in events:
                log.see(event)


_START = _("start it, or name one in DOCKER_HOST; `container-pipeline doctor` tells more")


@contextmanager
def engine_errors(failed: str, hint: str = "") -> Iterator[None]:
    """Turn what docker-py and requests raise into an EngineError that begins with ``failed``."""
    import docker.errors
    import requests

    try:
        yield
    except (PipelineError, BrokenPipeError):
        # A broken pipe is our own reader's, such as head; the engine's comes as an error of requests.
        raise
    except docker.errors.APIError as error:
        raise EngineError(f"{failed}: {error.explanation or error}", hint) from error
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        reason = _reason(error)
        denied = _("this user may not use Docker: add it to the group of the socket, such as docker")
        raise EngineError(f"{failed}: {reason}", denied if "Permission denied" in reason else hint or _START) from error


def _reason(error: BaseException) -> str:
    """Return the innermost cause that has something to say, in one line."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _login(access: RegistryAccess) -> dict[str, str]:
    return {
        "username": access.user,
        "password": access.password.reveal(),
        "serveraddress": access.registry.login_key,
    }


def _refused(failed: str, event: Mapping[str, Any], access: RegistryAccess) -> RegistryError:
    text = str(event["error"]).strip()
    denied = any(word in text for word in ("unauthorized", "denied", "no basic auth", "authentication required"))
    user, password = f"{access.variable}_USER", f"{access.variable}_PASS"
    hint = _("check {user} and {password}", user=user, password=password) if denied else ""
    return RegistryError(f"{failed}: {text}", hint)


class _Layers:
    """Shows how far each layer of a push is, and keeps the digest that ends it."""

    def __init__(self, console: Console, tasks: ExitStack) -> None:
        self._console, self._tasks = console, tasks
        self._layers: dict[str, Task] = {}
        self._done: dict[str, int] = {}
        self.digest = ""

    def see(self, event: Mapping[str, Any]) -> None:
        self.digest = (event.get("aux") or {}).get("Digest") or self.digest
        layer, detail = event.get("id"), event.get("progressDetail") or {}
        if not layer or "current" not in detail:
            return
        if layer not in self._layers:
            title = _("layer {layer}", layer=layer)
            self._layers[layer] = self._tasks.enter_context(self._console.task(title, detail.get("total", 0)))
        self._layers[layer].advance(detail["current"] - self._done.get(layer, 0))
        self._done[layer] = detail["current"]


class BuildLog:
    """Shows a build's output, and remembers the running step for the day it fails."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step = ""
        self._lines: list[str] = []

    def see(self, event: Mapping[str, Any]) -> None:
        """Take one event of the engine's stream; raises BuildError where it is an error."""
        if "error" in event:
            code = (event.get("errorDetail") or {}).get("code")
            raise build_error(self._step, self._lines, code, str(event["error"]).strip())
        for line in str(event.get("stream") or event.get("status") or "").splitlines():
            if line.startswith("Step "):
                self._step, self._lines = line.partition(" : ")[2] or line, []
            elif line.strip() and not line.startswith((" ---> ", "Removing intermediate container ")):
                self._lines = [*self._lines[1 - LAST_LINES :], line]
            if line.strip() and not event.get("progress"):
                self._console.line(line)


def build_error(step: str, lines: Iterable[str], code: int | None, problem: str) -> BuildError:
    """Return the error of a build that failed in ``step``; its last lines go before the sentence."""
    if not step:
        return BuildError(_("the build failed: {problem}", problem=problem))
    if code is None:
        return BuildError(_("the build failed in {step}: {problem}", step=step, problem=problem), details=tuple(lines))
    return BuildError(
        _("the build failed in {step}: exit code {code}", step=step, code=code),
        _("its last lines stand above"),
        details=tuple(lines),
    )
