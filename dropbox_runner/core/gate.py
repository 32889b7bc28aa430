"""The gate before all starts: while the account is limited, refused or throttled, nothing new is started.

It belongs to the account and not to a task, outlives the daemon, and opens by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, assert_never

from pydantic import BaseModel, ConfigDict

from dropbox_runner.core.names import is_pause, printable
from dropbox_runner.core.states import Verdict

_ACCOUNT_STEPS: Final = (60.0, 120.0, 300.0, 600.0, 1800.0)
"""Seconds until the account is tried again; the last one for ever after."""
_THROTTLES_IN_A_ROW: Final = 3
"""From so many throttled runs in a row on, it is taken as the account's trouble and not one task's."""
_THROTTLE_FIRST: Final = 30.0
_THROTTLE_LONGEST: Final = 600.0
_UNKNOWN_RESET: Final = 1800.0
"""Seconds to wait for a limit that does not say, or says absurdly, when it will be reset."""
_LONGEST_LIMIT: Final = 8 * 86400.0
"""The longest window is a week; a reset later than this is a mistake."""
_SOONEST: Final = 60.0
"""A reset that is already past: their clock and ours differ, or it is just being reset."""


class Why(StrEnum):
    """What closed the gate."""

    LIMIT = "usage limit"
    ACCOUNT = "account"
    THROTTLE = "throttled"


class Gate(BaseModel):
    """Why and until when nothing new is started."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    why: Why
    until: float
    """Unix time."""
    reason: str
    tries: int = 1
    """How often in a row it was closed for this reason."""

    def left(self, now: float) -> float:
        """Return for how many more seconds it stays closed; `now` is unix time.

        One that would stay so for longer than any ever does was written before the clock was set back: it is open.
        """
        left = self.until - now
        return left if 0 < left <= _LONGEST[self.why] else 0.0

    @property
    def probing(self) -> bool:
        """Whether, once it opens, one start at a time must do until one has gone well.

        A limit that has been reset is over for all. Whether an account works again is for one run to find out.
        """
        return self.why is Why.ACCOUNT or (self.why is Why.THROTTLE and self.tries >= _THROTTLES_IN_A_ROW)

    def in_words(self, until: str) -> str:
        """Say what is closed, until when, and what to do about it."""
        match self.why:
            case Why.LIMIT:
                return f"usage limit until {until}"
            case Why.ACCOUNT:
                return (
                    f"claude does not work here: {self.reason.strip()}. Mend that (`claude` logs in); next try {until}"
                )
            case Why.THROTTLE:
                return f"the API is overloaded or out of reach; next try {until}"
            case _:
                assert_never(self.why)


_LONGEST: Final = {
    Why.LIMIT: _LONGEST_LIMIT,
    Why.ACCOUNT: _ACCOUNT_STEPS[-1],
    Why.THROTTLE: _THROTTLE_LONGEST,
}
"""Seconds for which it may be closed at most."""


def after(gate: Gate | None, served: Verdict | None, reason: str, resets: float | None, now: float) -> Gate | None:
    """Return the gate after a run has ended.

    `served` is how the API had served it (see `verdict.served`), whatever became of the task; `now` and `resets` are
    unix times.
    """
    closed = gate is not None and gate.left(now) > 0
    if gate is not None and gate.why is Why.LIMIT and not closed:
        gate = None  # a limit that has been reset is over, whatever else there is
    match served:
        case Verdict.LIMITED:
            until = reset_time(resets, now)
            if gate is not None and gate.why is Why.LIMIT:
                until = max(until, gate.until)
            return Gate(why=Why.LIMIT, until=until, reason=reason)
        case Verdict.ACCOUNT if gate is not None and gate.why is Why.LIMIT:
            return gate  # that is the longer one, and the account is found out about when it is over
        case Verdict.ACCOUNT:
            if gate is not None and gate.why is Why.ACCOUNT and closed:
                return gate  # a run that was under way already: the same refusal, not one more try
            tries = gate.tries + 1 if gate is not None and gate.why is Why.ACCOUNT else 1
            pause = _ACCOUNT_STEPS[min(tries, len(_ACCOUNT_STEPS)) - 1]
            return Gate(why=Why.ACCOUNT, until=now + pause, reason=reason, tries=tries)
        case Verdict.OVERLOADED if gate is None or gate.why is Why.THROTTLE:
            if closed:
                return gate
            tries = gate.tries + 1 if gate is not None else 1
            steps = tries - _THROTTLES_IN_A_ROW
            pause = min(_THROTTLE_LONGEST, _THROTTLE_FIRST * 2**steps) if steps >= 0 else 0.0
            return Gate(why=Why.THROTTLE, until=now + pause, reason=reason, tries=tries)
        case Verdict.SUCCEEDED if gate is not None and gate.why is Why.LIMIT:
            return gate  # it was under way before: what it has got through says nothing of what comes next
        case Verdict.SUCCEEDED:
            return None  # the API has served a whole run: whatever it was, it is over
        case _:
            return gate


def paused_by(names: Iterable[str]) -> str | None:
    """Say that a person has paused the queue, if one of these files in the inbox does."""
    name = next((one for one in names if is_pause(one)), None)
    return None if name is None else f"paused: the file {printable(name)} lies in the folder"


def reset_time(resets: float | None, now: float) -> float:
    """Make a reported reset sane: unix seconds, in the future, within the longest window."""
    if resets is not None and resets > 1e11:
        resets /= 1000  # milliseconds
    if resets is None or not now - _LONGEST_LIMIT < resets < now + _LONGEST_LIMIT:
        return now + _UNKNOWN_RESET
    return max(resets, now + _SOONEST)
