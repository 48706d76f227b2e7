"""Detects the kind of a Python project from its files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

#: Path from the root → text of the relevant files.
Files = Mapping[str, str]

DEFAULT_PORT = 8080
#: Servers for projects that list none; every supported Python can install these versions.
SERVERS = {"gunicorn": "gunicorn==23.0.0", "uvicorn": "uvicorn==0.34.0"}
_REQUIREMENTS = ("requirements.txt", "requirements/prod.txt", "requirements/production.txt", "requirements/base.txt")
_LIKELY = ("app", "main", "wsgi", "asgi", "server", "application", "run", "manage", "__init__", "api")
#: Packages without wheels for Linux; the slim images lack the compiler that they need.
_COMPILED = r"psycopg2|mysqlclient|uwsgi|python-ldap|pycrypto|pycurl|pyodbc"
_MAIN = re.compile(r"^if\s+__name__\s*==\s*[\"']__main__[\"']", re.M)


@dataclass(frozen=True)
class Shape:
    """``manager``: pip, poetry, uv, pipenv, project (pyproject without a lock) or none. ``port`` 0: it does not listen.

    ``listed`` are the files with dependencies, ``adds`` the packages that serving the project requires.
    """

    manager: str
    framework: str = ""
    listed: tuple[str, ...] = ()
    python: str = ""
    port: int = DEFAULT_PORT
    command: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    installs_project: bool = False
    source_path: bool = False
    compiles: bool = False


def detect(files: Files, running: str) -> Shape | None:
    """Return the shape of the project, None if the folder contains none. ``running`` is this Python's version."""
    manager, listed = _manager(files)
    dependencies = "\n".join(_dependency_texts(files, listed)).lower()
    served = _served(files, dependencies)
    if served is None:
        return None
    project = files.get("pyproject.toml", "")
    packaged = ("[build-system]" in project and "package-mode = false" not in project) or "setup.py" in files
    shape = replace(
        served,
        manager=manager,
        listed=listed,
        python=python_version(files, running),
        installs_project=packaged and manager in ("project", "poetry", "uv"),
        compiles=bool(re.search(rf"^[\s\"']*(?:{_COMPILED})\b(?!-)", dependencies, re.M)),
    )
    exposed = re.search(r"^EXPOSE\s+(\d+)", files.get("Dockerfile", ""), re.M)
    return replace(shape, port=int(exposed[1])) if exposed else shape


def _manager(files: Files) -> tuple[str, tuple[str, ...]]:
    for lock, manager, manifest in (
        ("uv.lock", "uv", "pyproject.toml"),
        ("poetry.lock", "poetry", "pyproject.toml"),
        ("Pipfile.lock", "pipenv", "Pipfile"),
    ):
        if lock in files and manifest in files:
            return manager, (manifest, lock)
    for name in _REQUIREMENTS:
        if name in files:
            return "pip", (name, *_referred(name, files))
    if "[project]" in files.get("pyproject.toml", "") or "[tool.poetry]" in files.get("pyproject.toml", ""):
        return "project", ("pyproject.toml",)
    return "none", ()


def _referred(name: str, files: Files) -> tuple[str, ...]:
    """Return the other files that a requirements file includes."""
    folder = name.rpartition("/")[0]
    found: list[str] = []
    for match in re.finditer(r"^(?:-[rc]|--requirement|--constraint)[=\s]*(\S+)", files[name], re.M):
        path = f"{folder}/{match[1]}" if folder else match[1]
        if path in files and path not in found:
            found += [path, *_referred(path, files)]
    return tuple(dict.fromkeys(found))


def _dependency_texts(files: Files, listed: tuple[str, ...]) -> list[str]:
    names = [name for name in listed if not name.endswith(".lock")]
    return [files[name] for name in (*names, "setup.py", "setup.cfg") if name in files]


def python_version(files: Files, running: str) -> str:
    """Return the Python version MAJOR.MINOR that the project requires, else that of this Python."""
    for name in (".python-version", "runtime.txt"):
        found = re.search(r"(3\.\d+)", files.get(name, ""))
        if found:
            return found[1]
    text = files.get("pyproject.toml", "") + files.get("setup.cfg", "") + files.get("Pipfile", "")
    asked = re.search(r"^(?:requires-python|python_requires|python|python_version)\s*=\s*[\"']?([^\"'\n]+)", text, re.M)
    if not asked:
        return running
    exact = re.search(r"(?:==|~=\s*|^)\s*(3\.\d+)(?:\.\d+|\.\*)?\s*$", asked[1])
    if exact and "~=" not in asked[1]:
        return exact[1]
    least, below = re.search(r"(?:>=|\^|~=?)\s*3\.(\d+)", asked[1]), re.search(r"<\s*3\.(\d+)", asked[1])
    minor = int(running.partition(".")[2])
    fits = (not least or int(least[1]) <= minor) and (not below or minor < int(below[1]))
    return running if fits or not least else f"3.{least[1]}"


def _served(files: Files, dependencies: str) -> Shape | None:
    """Return the project's start command and port."""
    if "manage.py" in files:
        found = re.search(r"DJANGO_SETTINGS_MODULE[\"']\s*,\s*[\"']([\w.]+?)\.settings", files["manage.py"])
        if found:
            return _wsgi("django", f"{found[1]}.wsgi:application", dependencies)
    candidates = sorted((name for name in files if name.endswith(".py")), key=_likelihood)
    for name in candidates:
        shape = _framework(name, files[name], dependencies)
        if shape:
            return shape
    return _script(files, candidates)


def _likelihood(name: str) -> tuple[int, int, str]:
    """Sort likely names first, and those near the root before deeper ones."""
    stem = name.rpartition("/")[2][:-3]
    return name.count("/") - name.startswith("src/"), _LIKELY.index(stem) if stem in _LIKELY else len(_LIKELY), name


def _framework(name: str, text: str, dependencies: str) -> Shape | None:
    module = re.sub(r"^src\.|(\.__init__)?\.py$", "", name.replace("/", "."))
    source = name.startswith("src/")
    for framework, word in (("flask", "Flask"), ("fastapi", "FastAPI")):
        variable = re.search(rf"^(\w+)\s*(?::\s*[\w.]+\s*)?=\s*(?:\w+\.)?{word}\(", text, re.M)
        factory = re.search(r"^def ((?:create|make|get)_app\w*)\(", text, re.M) if f"{word}(" in text else None
        if not variable and not factory:
            continue
        main = _MAIN.search(text)
        if (
            main
            and re.search(r"\b(?:serve|uvicorn\.run|run_app|hypercorn)\(", text[main.start() :])
            and "/" not in name
        ):
            return Shape("", framework, port=_port(text) or DEFAULT_PORT, command=("python", name), source_path=source)
        application = f"{module}:{variable[1]}" if variable else f"{module}:{factory[1] if factory else ''}"
        if framework == "fastapi":
            return replace(_asgi(application, dependencies, factory=not variable), source_path=source)
        return replace(_wsgi("flask", application + ("" if variable else "()"), dependencies), source_path=source)
    return None


def _wsgi(framework: str, application: str, dependencies: str) -> Shape:
    if "waitress" in dependencies and "gunicorn" not in dependencies:
        call = ("--call", application[:-2]) if application.endswith("()") else (application,)
        return Shape("", framework, command=("waitress-serve", "--listen=0.0.0.0:PORT", *call))
    adds = () if "gunicorn" in dependencies else (SERVERS["gunicorn"],)
    command = ("gunicorn", "--preload", "--bind=0.0.0.0:PORT", "--access-logfile=-", application)
    return Shape("", framework, command=command, adds=adds)


def _asgi(application: str, dependencies: str, *, factory: bool) -> Shape:
    known = re.search(r"uvicorn|fastapi\[(?:standard|all)", dependencies)
    options = ("--factory",) if factory else ()
    command = ("uvicorn", "--host=0.0.0.0", "--port=PORT", *options, application)
    return Shape("", "fastapi", command=command, adds=() if known else (SERVERS["uvicorn"],))


def _script(files: Files, candidates: list[str]) -> Shape | None:
    """Return the shape of a project with its own start: an installed command, a package with __main__, or a script in the root."""
    scripts = re.search(
        r"^\[(?:project\.scripts|tool\.poetry\.scripts)\]\s*\n\s*[\"']?([\w.-]+)[\"']?\s*=\s*[\"']([\w.]+)",
        files.get("pyproject.toml", ""),
        re.M,
    )
    everything = "\n".join(files[name] for name in candidates)
    if scripts:
        return Shape("", port=_port(everything), command=(scripts[1],))
    mains = [name for name in candidates if "/" not in name and name != "setup.py" and _MAIN.search(files[name])]
    if mains:
        return Shape("", port=_port(files[mains[0]]), command=("python", mains[0]))
    packages = [name for name in candidates if name.endswith("/__main__.py")]
    if packages:
        module = packages[0][: -len("/__main__.py")].replace("/", ".")
        source = module.startswith("src.")
        return Shape(
            "", port=_port(everything), command=("python", "-m", module[4:] if source else module), source_path=source
        )
    alone = [name for name in candidates if "/" not in name and name != "setup.py"]
    return Shape("", port=_port(files[alone[0]]), command=("python", alone[0])) if len(alone) == 1 else None


def _port(text: str) -> int:
    """Return the port in a program's text, or 0."""
    patterns = (
        r"\bport\w*\s*[=:]\s*(?:int\()?[\"']?(\d{2,5})\b",
        r"[\"']PORT[\"']\s*,\s*[\"']?(\d{2,5})\b",
        r"\(\s*[\"'][\d.:]*[\"']\s*,\s*(\d{2,5})\s*\)",
    )
    for pattern in patterns:
        found = re.search(pattern, text, re.I)
        if found and int(found[1]) < 65536:
            return int(found[1])
    return 0
