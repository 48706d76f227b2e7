"""Unpacks the agent on a node: python3 unpack.py BUNDLE SHA256 CACHE [CACHE …]; prints the folder it is in.

The first cache folder that can be written to is used. Two builds may do this at once: each unpacks into a folder of
its own and renames it, and whoever comes second finds the first one's. Must be readable for every Python 3.
"""

import compileall
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import time

#: Days after which an agent that no build used is deleted.
KEPT_DAYS = 30


def main(bundle, digest, caches):
    with open(bundle, "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    if found != digest:
        sys.exit(f"container-pipeline: the agent arrived damaged ({found} instead of {digest}); run the build again")
    for cache in caches:
        try:
            os.makedirs(cache, mode=0o755, exist_ok=True)
            folder = unpack(bundle, cache, os.path.join(cache, digest))
        except OSError as error:
            problem = error
            continue
        os.unlink(bundle)
        clean(cache, digest)
        return folder
    sys.exit(
        f"container-pipeline: the agent cannot be unpacked: {problem}; let the build write to its HOME or workspace"
    )


def unpack(bundle, cache, folder):
    fresh = tempfile.mkdtemp(prefix="new-", dir=cache)
    try:
        with tarfile.open(bundle, "r:bz2") as tar:
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(fresh, **safe)  # noqa: S202 - our own archive, just verified by its digest
        compileall.compile_dir(fresh, quiet=2)
        os.rename(fresh, folder)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not os.path.isfile(os.path.join(folder, "run.py")):
            raise
    return folder


def clean(cache, digest):
    """Delete agents that no build has used for long; a build that is under way used its own just now.

    An agent's folder has its digest's name, or begins with new-. What else is there is the agents' own.
    """
    oldest = time.time() - KEPT_DAYS * 86400
    for name in os.listdir(cache):
        path = os.path.join(cache, name)
        try:
            agents = len(name) == len(digest) or name.startswith("new-")
            if agents and name != digest and os.stat(path).st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
