"""What a verdict means for the task: it ends, it waits for a person, or it goes on in its session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dropbox_runner.core.record import Asking, Outcome, Record, Topic
from dropbox_runner.core.run import Next, Run, Why
from dropbox_runner.core.states import Verdict
from dropbox_runner.core.verdict import Judgement

_FIRST_PAUSE: Final = 30.0
_LONGEST_PAUSE: Final = 900.0
"""Seconds between two tries of a run that failed or could not be served, before the jitter."""
_JITTER: Final = 0.25
LONGEST_PAUSE: Final = _LONGEST_PAUSE * (1 + _JITTER)


@dataclass(frozen=True)
class Patience:
    """How often the runner tries by itself before it turns to a person."""

    retries: int
    max_cut_off: int
    outage: float
    """Seconds."""
    on_denial: Literal["ask", "fail", "ignore"]


def conclude(
    record: Record,
    run: Run,
    judgement: Judgement,
    patience: Patience,
    *,
    at: str,
    now: float,
    rules: tuple[str, ...] = (),
) -> Record:
    """Close the open run with its verdict and write down what follows from it.

    Afterwards `outcome` is set (the task has ended), or `next` is (it goes on), or neither (it waits for an answer;
    `asking` says whether the runner asks). `now` is unix time, `at` the same for people, `rules` what would have
    allowed what was denied.
    """
    verdict, reason = judgement.verdict, judgement.reason
    ended = run.but(verdict=verdict, reason=reason, ended_at=at)
    record = _closed(record, ended, judgement, at, now)
    # As it stands without what is taken back: that alone would start a claude that cannot be started again and again.
    edited, late = record.edited, record.late
    again = None
    if verdict in (Verdict.INTERRUPTED, Verdict.STOPPED) or judgement.never_began:
        record, again = record.with_what_was_not_told(ended), ended.untold
    match verdict:
        case Verdict.ASKED:
            return record
        case Verdict.INTERRUPTED:
            return _interrupted(record, again, judgement, patience)
        case Verdict.STOPPED:
            return record.but(next=again or Next(why=Why.STOPPED))
        case Verdict.LIMITED:
            return record.but(next=Next(why=Why.LIMITED))
        case Verdict.ACCOUNT:
            return record.but(next=again or Next(why=Why.ACCOUNT))
        case Verdict.OVERLOADED:
            return _overloaded(record, run, patience, now)
        case Verdict.OUT_OF_MONEY:
            return record.but(asking=Asking(topic=Topic.MONEY))
        case Verdict.SUCCEEDED | Verdict.FAILED | Verdict.DENIED if edited:
            # It was edited while it was being worked on: it has not ended before the session knows that.
            return record.but(next=again or Next(why=Why.EDITED))
        case Verdict.SUCCEEDED | Verdict.FAILED | Verdict.DENIED if late:
            return record.but(next=again or Next(why=Why.LATE))
        case Verdict.DENIED if patience.on_denial == "ask":
            return record.but(asking=Asking(topic=Topic.DENIED, rules=rules))
        case Verdict.DENIED if patience.on_denial == "ignore":
            return record.but(outcome=Outcome(verdict=Verdict.SUCCEEDED, reason=reason, at=at))
        case Verdict.FAILED if record.retried < patience.retries:
            later = now + pause(record.retried, run.id)
            again = again or Next(why=Why.RETRY, detail=reason)
            return record.but(retried=record.retried + 1, next=again, not_before=later)
        case _:
            return record.but(outcome=Outcome(verdict=verdict, reason=reason, at=at))


def _closed(record: Record, ended: Run, judgement: Judgement, at: str, now: float) -> Record:
    """Write down how the run has ended, and how many that ended alike have come in a row."""
    first_line = judgement.reason.strip().partition(chr(10))[0]
    overloaded = judgement.verdict is Verdict.OVERLOADED
    return (
        record.with_run(ended)
        .with_event(at, f"run {ended.number} {judgement.verdict}: {first_line}")
        .but(
            session_seen=(record.session_seen or judgement.session_exists) and not judgement.session_missing,
            cut_off=record.cut_off + 1 if judgement.verdict is Verdict.INTERRUPTED else 0,
            throttled=record.throttled + 1 if overloaded else 0,
            throttled_since=(record.throttled_since or now) if overloaded else None,
            asking=None,
        )
    )


def pause(tries: int, seed: str) -> float:
    """Return how many seconds to wait before the next try: growing, with a ceiling, and not the same for all.

    The jitter comes from the run's id, so that tasks that were refused together do not come back together.
    """
    jitter = int(seed[:8], 16) / 0xFFFFFFFF * _JITTER
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(tries, 16)) * (1 + jitter)


def _interrupted(record: Record, again: Next | None, judgement: Judgement, patience: Patience) -> Record:
    if judgement.session_missing and record.turns_seen:
        # The model has worked on it, and the conversation is gone: starting again from zero would do it twice.
        return record.but(asking=Asking(topic=Topic.SESSION))
    if record.cut_off > patience.max_cut_off:
        return record.but(asking=Asking(topic=Topic.CUT_OFF, planned=again))
    return record.but(next=again or Next(why=Why.INTERRUPTED))


def _overloaded(record: Record, run: Run, patience: Patience, now: float) -> Record:
    if now - (record.throttled_since or now) > patience.outage:
        return record.but(asking=Asking(topic=Topic.OUTAGE))
    return record.but(next=Next(why=Why.OVERLOADED), not_before=now + pause(record.throttled - 1, run.id))
