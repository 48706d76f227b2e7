"""Runs the agent on a Jenkins node: launch.sh hands this text to python3 -c.

It finds the agent's files in a cache, or unpacks the sent ones, and runs the agent in this process. It prints the
agent's JSON, or {"missing": [...]} with the files that must be sent first. The exit code is in the JSON; the process
itself exits with 0 after printing it, except after a signal.

Jenkins passes this text in a variable, so it is ASCII without dollar signs, backslashes or backticks. Every Python from
3.6 on must be able to parse it.
"""

import sys

sys.path[:] = [entry for entry in sys.path if entry]  # the workspace belongs to the project: import nothing from it

import contextlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import stat  # noqa: E402
import time  # noqa: E402

OLDEST = (3, 9)
#: In the order of their digests in CONTAINER_PIPELINE_SHA256.
FILES = ("agent.tar", "agent.libraries.tar.bz2")
#: Days after which an unused agent is deleted.
KEPT_DAYS = 30
#: Seconds from a child's end to the signal for its parent: Jenkins polls every 10, 20, 40, ... milliseconds.
PATIENCE = 0.4


def main():
    if sys.version_info[:2] < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"container-pipeline: python3 on this node is {found}; install Python 3.9 or newer")
    sys.dont_write_bytecode = True  # unpacked files must stay as listed
    sent = os.environ.pop("CONTAINER_PIPELINE_SENT", None)
    digests = dict(zip(FILES, os.environ.pop("CONTAINER_PIPELINE_SHA256").split()))
    os.environ.pop("CONTAINER_PIPELINE_START", None)
    places = caches(os.environ.pop("CONTAINER_PIPELINE_TMP"))
    folders = {name: find(digest, places) for name, digest in digests.items()}
    missing = [name for name in FILES if folders[name] is None]
    if missing and not sent:
        print(json.dumps({"missing": missing}))
        return 0
    for name in missing:
        folders[name] = receive(os.path.join(sent, name), digests[name], places)
    if sent:
        remove(sent)
    for folder in folders.values():
        with contextlib.suppress(OSError):
            os.utime(folder)  # mark as used: see clean
    sys.path[:0] = [os.path.join(folder, "lib") for folder in folders.values()]
    arguments = json.loads(os.environ.pop("CONTAINER_PIPELINE_CALL"))["argv"]
    from container_pipeline.__main__ import main as agent

    code = agent([*arguments, "--json"])
    if code:
        make_way_for_an_abort()
    return code if code >= 128 else 0


def make_way_for_an_abort():
    """Wait in case the failure is the first sign of an abort: Jenkins ends children first, then their parent."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    time.sleep(PATIENCE)


def caches(beside):
    """Return the possible cache folders, best first, each with whether the folders above it must be safe.

    Whoever can write above the workspace can change the build itself, so there only the cache is checked.
    """
    home = os.environ.get("HOME", "")
    base = os.environ.get("XDG_CACHE_HOME") or (home and os.path.join(home, ".cache"))
    places = [(os.path.realpath(os.path.join(beside, f"cache-{os.geteuid()}")), False)]
    if os.path.isabs(base):
        places.insert(0, (os.path.realpath(os.path.join(base, "container-pipeline")), True))
    return places


def secure(cache, above):
    """Raise PermissionError unless the cache belongs to this user alone and nobody else can replace it."""
    us, folder = os.geteuid(), cache
    while above and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(folder)
            shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
            if shared or found.st_uid not in (0, us):
                raise PermissionError(f"somebody else can write to {folder}")
    os.makedirs(cache, exist_ok=True)
    found = os.lstat(cache)
    if found.st_uid == us and found.st_mode & 0o077 and not found.st_mode & 0o022:
        os.chmod(cache, 0o700)  # earlier versions made it readable for everybody
        found = os.lstat(cache)
    if found.st_uid != us or found.st_mode & 0o077:
        raise PermissionError(f"{cache} is not this user's alone")


def find(digest, places):
    for cache, above in places:
        with contextlib.suppress(OSError):
            folder = os.path.join(cache, label(digest))
            if os.path.isdir(folder):
                secure(cache, above)
                if intact(folder):
                    return folder
    return None


def label(digest):
    """Return the folder's name, which depends on the kind of Python, since compiled files are listed too."""
    return f"{digest}-{sys.implementation.cache_tag}"


def look(path):
    """Return attributes that change when a file is written, or a folder gains or loses one."""
    found = os.lstat(path)
    return [found.st_mode, found.st_uid, found.st_size, found.st_ctime_ns]


def intact(folder):
    """Return whether all files are as this user unpacked them, and no others exist."""
    us, listing = os.geteuid(), os.path.join(folder, "files.json")
    try:
        kinds = [(stat.S_IFMT(found.st_mode), found.st_uid) for found in map(os.lstat, (folder, listing))]
        if kinds != [(stat.S_IFDIR, us), (stat.S_IFREG, us)]:
            return False
        with open(listing, encoding="ascii") as file:
            files = json.load(file)
        return bool(files) and all(look(os.path.join(folder, name)) == seen for name, seen in files.items())
    except (OSError, ValueError, AttributeError):
        return False


def receive(bundle, digest, places):
    import hashlib

    problem = None
    try:
        with open(bundle, "rb") as file:
            content = file.read()
    except OSError as error:
        sys.exit(f"container-pipeline: the agent did not arrive: {error}; run the build again")
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        sys.exit(f"container-pipeline: the agent arrived damaged ({found} instead of {digest}); run the build again")
    mask = os.umask(0o077)
    try:
        for cache, above in places:
            try:
                secure(cache, above)
                folder = unpack(content, cache, label(digest))
            except OSError as error:
                problem = error
                continue
            clean(cache)
            return folder
    finally:
        os.umask(mask)
    sys.exit(
        f"container-pipeline: the agent cannot be unpacked: {problem}; let the build write to its HOME or workspace"
    )


def unpack(content, cache, name):
    """Unpack beside the final folder and move it there; of several concurrent runs, the first one wins."""
    import compileall
    import io
    import tarfile
    import tempfile

    folder = os.path.join(cache, name)
    fresh = tempfile.mkdtemp(prefix="new-", dir=cache)
    try:
        lib = os.path.join(fresh, "lib")
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(lib, **safe)  # noqa: S202 - our own archive, just verified by its digest
        compileall.compile_dir(lib, ddir=os.path.join(folder, "lib"), quiet=2)
        files = {}
        for parent, _folders, names in os.walk(lib):
            for path in [parent, *(os.path.join(parent, name) for name in names)]:
                files[os.path.relpath(path, fresh)] = look(path)
        with open(os.path.join(fresh, "files.json"), "w", encoding="ascii") as file:
            json.dump(files, file)
        with locked(cache):
            if not intact(folder):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(folder, fresh + "-damaged")
                os.rename(fresh, folder)
    finally:
        remove(fresh)
        remove(fresh + "-damaged")
    return folder


@contextlib.contextmanager
def locked(cache):
    import fcntl

    with open(os.path.join(cache, "lock"), "a") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def clean(cache):
    """Delete agents that no build has used for long; other files in the cache belong to the agents."""
    import re

    oldest = time.time() - KEPT_DAYS * 86400
    for name in os.listdir(cache):
        path = os.path.join(cache, name)
        with contextlib.suppress(OSError):
            if re.match("new-|[0-9a-f]{64}", name) and os.lstat(path).st_mtime < oldest:
                remove(path)


def remove(path):
    import shutil

    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(path)


if __name__ == "__main__":
    sys.exit(main())
