"""Actions that the system refused (a full disk, no permission): each is tried again, at growing intervals."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from dropbox_runner.core.actions import Action, Start
from dropbox_runner.core.clock import Now
from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.plan import Plan, Waiting
from dropbox_runner.core.settle import Wait
from dropbox_runner.daemon.desk import Desk
from dropbox_runner.daemon.perform import key_of, name_of, perform

log = logging.getLogger("dropbox_runner")

_FIRST_RETRY: Final = 1.0
_LONGEST_RETRY: Final = 60.0
"""Seconds between two tries."""


@dataclass(frozen=True)
class _Refused:
    again_at: float
    """Steady clock."""
    pause: float
    name: str
    reason: str

    @property
    def wait(self) -> Wait:
        return Wait(f"{self.reason}; trying again", self.again_at)


class Refusals:
    """Remembers what could not be done. Losing this memory costs one more try."""

    def __init__(self) -> None:
        self._refused: dict[str, _Refused] = {}

    def __len__(self) -> int:
        return len(self._refused)

    def attempt(self, action: Action, desk: Desk) -> None:
        """Do it. One task's trouble must not stop the others; a later look tries again."""
        key = key_of(action)
        try:
            perform(action, desk)
        except (OSError, RunnerError) as error:
            before = self._refused.get(key)
            pause = min(_LONGEST_RETRY, before.pause * 2) if before else _FIRST_RETRY
            self._refused[key] = _Refused(desk.now.steady + pause, pause, name_of(action), str(error))
            log.log(logging.DEBUG if before else logging.ERROR, "%s: %s (trying again)", key, error)
        except Exception:
            # A bug of ours must not stop the other tasks either, nor be repeated in a tight loop.
            pause = _LONGEST_RETRY
            self._refused[key] = _Refused(desk.now.steady + pause, pause, name_of(action), "a bug in dropbox-runner")
            log.exception("%s: this is a bug in dropbox-runner; please report it", key)
        else:
            self._refused.pop(key, None)

    def held(self, now: Now) -> dict[str, Wait]:
        """Return the tasks that could not be started: they keep their place in the queue, but do not hold it up."""
        waiting = ((key, one) for key, one in self._refused.items() if now.steady < one.again_at)
        return {one.name: one.wait for key, one in waiting if key == key_of(Start(one.name))}

    def left_out_of(self, planned: Plan, now: Now) -> Plan:
        """Return the plan without what is not to be tried again yet."""
        keys = {key_of(one) for one in planned.actions}
        # What is no longer to be done is not waited for: its task was moved, deleted, or went another way. But two
        # actions that undo each other, and both fail, must not chase each other: until then it is remembered.
        self._refused = {key: one for key, one in self._refused.items() if key in keys or now.steady < one.again_at}
        later = {key: one for key, one in self._refused.items() if key in keys and now.steady < one.again_at}
        actions_now = tuple(one for one in planned.actions if key_of(one) not in later)
        return replace(
            planned,
            actions=actions_now,
            waiting=planned.waiting + tuple(Waiting(one.name, one.wait) for one in later.values()),
        )

    def again_at(self) -> list[float]:
        """Return when something is to be tried again (steady clock)."""
        return [one.again_at for one in self._refused.values()]
