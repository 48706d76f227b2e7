"""Starts the unpacked agent on a Jenkins node: first file of the bundle. Must be readable for every Python 3.

The command line comes as JSON, {"argv": [...]}, in CONTAINER_PIPELINE_CALL. The exit code stands in the JSON answer,
which is all that goes to stdout; the process itself exits 0 once it has answered, but not when a signal ended it.
"""

import contextlib
import json
import os
import signal
import sys
import time

OLDEST = (3, 9)
#: Seconds from a child's end to the signal for its parent: Jenkins looks every 10, 20, 40, … milliseconds.
PATIENCE = 0.4


def main():
    if sys.version_info[:2] < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.stderr.write(f"container-pipeline: python3 on this node is {found}; install Python 3.9 or newer\n")
        return 1
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.join(here, "lib"))
    in_use(here)
    arguments = json.loads(os.environ.pop("CONTAINER_PIPELINE_CALL"))["argv"]
    from container_pipeline.__main__ import main as agent

    code = agent([*arguments, "--json"])
    if code:
        make_way_for_an_abort()
    return code if code >= 128 else 0


def make_way_for_an_abort():
    """Wait whether the failure was the first sign of an abort: Jenkins ends the children first, then their parent."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    time.sleep(PATIENCE)


def in_use(folder):
    """Say so by the folder's time: what no build has used for long is deleted (see unpack.py)."""
    with contextlib.suppress(OSError):  # somebody else's, or read-only: then nobody deletes it either
        os.utime(folder)


if __name__ == "__main__":
    sys.exit(main())
