"""One line says what is going on."""

from __future__ import annotations

import pytest

from dropbox_runner.core.headline import headline
from dropbox_runner.core.seen import Drop, Look, Seen
from dropbox_runner.core.settle import Wait
from dropbox_runner.core.states import State


def tasks(running: int = 0, blocked: int = 0, pending: int = 0) -> tuple[Seen, ...]:
    states = [State.RUNNING] * running + [State.BLOCKED] * blocked + [State.PENDING] * pending
    return tuple(Seen(name=str(number), state=state, record=None) for number, state in enumerate(states))


@pytest.mark.parametrize(
    ("look", "says"),
    [
        (Look(), "nothing to do"),
        (Look(tasks=tasks(2, 1, 3)), "2 running, 1 waits for you, 3 pending"),
        (Look(tasks=tasks(blocked=2)), "2 wait for you"),
        (Look(drops=(Drop("x.yaml", Wait("being written"), "x"),)), "1 not taken yet"),
        (Look(tasks=tasks(pending=1), paused=Wait("usage limit until 15:30")), "1 pending; usage limit until 15:30"),
        (Look(paused=Wait("paused")), "nothing to do; paused"),
    ],
)
def test_it_counts_what_there_is(look: Look, says: str) -> None:
    assert headline(look) == says
