"""What a verdict means for the task: it ends, it waits for a person, or it goes on in its session."""

from __future__ import annotations

from dataclasses import dataclass

from dropbox_runner.core.names import printable
from dropbox_runner.core.record import Next, Outcome, Record, Run, Why
from dropbox_runner.core.states import Verdict
from dropbox_runner.core.verdict import Judgement


@dataclass(frozen=True)
class Patience:
    """How often the runner tries by itself before it turns to a person."""

    retries: int
    max_cut_off: int


GO_ON = "Go on in the same session"
GIVE_UP = "Stop the task"


def cut_off_question(record: Record) -> tuple[str, tuple[str, ...]]:
    """Return the runner's own question when a task has been cut off too often."""
    text = (
        f"The runs of this task were cut off {record.cut_off} times in a row, before claude could report how it ended. "
        f"The last one: {record.last.reason if record.last else 'unknown'}. How shall it go on?"
    )
    return text, (GO_ON, GIVE_UP)


def conclude(record: Record, run: Run, judgement: Judgement, patience: Patience, at: str) -> Record:
    """Close the open run with its verdict and write down what follows from it.

    Afterwards `outcome` is set (the task has ended), or `next` is (it goes on), or neither (it waits for an answer).
    """
    verdict, reason = judgement.verdict, judgement.reason
    ended = run.but(verdict=verdict, reason=reason, ended_at=at)
    record = record.with_run(ended).with_event(at, f"run {run.number} {verdict}: {printable(_first_line(reason))}")
    record = record.but(
        session_seen=(record.session_seen or judgement.session_exists) and not judgement.session_missing,
        cut_off=record.cut_off + 1 if verdict is Verdict.INTERRUPTED else 0,
    )
    match verdict:
        case Verdict.ASKED:
            return record
        case Verdict.INTERRUPTED:
            return _interrupted(record, judgement, patience)
        case Verdict.STOPPED:
            return record.but(next=Next(why=Why.STOPPED))
        case Verdict.SUCCEEDED | Verdict.FAILED if record.edited:
            # It was edited while it was being worked on: it has not ended before the session knows that.
            return record.but(next=Next(why=Why.EDITED))
        case Verdict.FAILED if record.retried < patience.retries:
            return record.but(retried=record.retried + 1, next=Next(why=Why.RETRY, detail=reason))
        case _:
            return record.but(outcome=Outcome(verdict=verdict, reason=reason, at=at))


def _interrupted(record: Record, judgement: Judgement, patience: Patience) -> Record:
    if judgement.session_missing and record.turns_seen:
        # The model has worked on it, and the conversation is gone: starting again from zero would do it twice.
        return record
    if record.cut_off > patience.max_cut_off:
        return record
    return record.but(next=Next(why=Why.INTERRUPTED))


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
