"""Of several servers, one runs the release command, and only once."""

from __future__ import annotations

from container_pipeline.model import Target
from container_pipeline.remote.once import Once

ONE, TWO, THREE = Target("one"), Target("two"), Target("three")


def turns(once: Once, *targets: Target) -> list[str]:
    return [once.turn(target).split()[0].decode().removeprefix("turn=") for target in targets]


def test_the_first_server_runs_it_while_others_wait():
    once = Once([ONE, TWO, THREE])
    assert turns(once, TWO, ONE, ONE, THREE) == ["wait", "run", "wait", "wait"]
    once.finish(ONE)
    assert turns(once, TWO, THREE) == ["go", "go"]
    # What happens to it afterwards is its own matter.
    once.leave(ONE)
    assert turns(once, TWO, THREE) == ["go", "go"]


def test_server_that_fails_before_its_turn_is_followed():
    once = Once([ONE, TWO, THREE])
    once.leave(ONE)
    assert turns(once, THREE, TWO) == ["wait", "run"]


def test_command_that_was_begun_is_never_begun_again():
    once = Once([ONE, TWO])
    assert turns(once, ONE) == ["run"]
    once.leave(ONE)
    assert once.turn(TWO) == b"turn=stop elsewhere=one\n"


def test_only_the_runner_can_report_success():
    once = Once([ONE, TWO])
    once.turn(ONE)
    once.finish(TWO)
    assert turns(once, TWO) == ["wait"]
