"""The only place that turns an exception into one line and an exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence

from container_pipeline.console import Console, unexpected
from container_pipeline.errors import PipelineError, Stopped, UsageError
from container_pipeline.i18n import _
from container_pipeline.outside import UNSAFE
from container_pipeline.result import Result

#: Seconds between attempts to interrupt the main thread: on a busy machine, one may come before the call, too.
_PAUSES = (0.05, 0.2, 0.5, 1.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    console = Console(out=sys.stderr if as_json else None)
    result = Result(command="")
    try:
        _on_sigterm()
        _notice_signals()
        _run(arguments, console, result)
    except PipelineError as error:
        result.error = error
    except KeyboardInterrupt:
        result.error = Stopped(_("interrupted"), 130)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        result.error = unexpected(error, console)
    if result.error:
        _tell(result.error, console)
    if as_json:
        _print_json(result, console)
    return result.error.exit_code if result.error else 0


def run() -> None:
    """Run this process' command line and end the process.

    It exits at once: the interpreter's own shutdown takes longer than some commands and waits for nothing useful.
    The cycle collector runs rarely: loading modules leaves no cycles, and searching for them costs 5 % of a short run.
    """
    gc.set_threshold(50_000)
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _run(arguments: list[str], console: Console, result: Result) -> None:
    import click

    from container_pipeline import cli

    try:
        cli.main(arguments, obj=(console, result), prog_name="container-pipeline", standalone_mode=False)
    except click.UsageError as error:
        usage = error.ctx.get_usage() if error.ctx else ""
        raise UsageError(error.format_message(), _("see --help"), details=[usage] if usage else []) from error
    except click.Abort as error:
        raise KeyboardInterrupt from error


def _on_sigterm() -> None:
    def stop(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped(_("terminated"), 143)

    signal.signal(signal.SIGTERM, stop)


def _notice_signals() -> None:
    """Let a signal end a call that blocks, even one that began just after the signal arrived.

    Python runs a handler between two instructions, or where the signal interrupts a system call. A signal that arrives between
    the last instruction and the call, or in another thread, would wait until the call returns by itself. So a thread wakes up on
    each signal, and interrupts the main thread with another one, which has no effect of its own.
    """
    if signal.getsignal(signal.SIGURG) is _nothing:
        return  # this process has the thread
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGURG, _nothing)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_interrupt_main, args=(reader,), daemon=True).start()


def _nothing(_signal: int, _frame: object) -> None:
    pass


def _interrupt_main(reader: int) -> None:
    main_thread = threading.main_thread().ident or 0
    while True:
        if set(os.read(reader, 64)) == {signal.SIGURG}:
            continue
        for pause in _PAUSES:
            time.sleep(pause)
            signal.pthread_kill(main_thread, signal.SIGURG)


def _tell(error: PipelineError, console: Console) -> None:
    for line in console.redact.lines(error.details):
        console.error(line)
    console.error(f"container-pipeline: {error.message}" + (f" — {error.hint}" if error.hint else ""))


def _print_json(result: Result, console: Console) -> None:
    import json

    text = json.dumps(console.redact.within(result.as_dict()), ensure_ascii=False)
    # Keys are not redacted; a control character in one becomes a JSON escape.
    print(re.sub(f"[{UNSAFE}]", lambda found: f"\\u{ord(found[0]):04x}", text), flush=True)


if __name__ == "__main__":
    run()
