"""One process of claude, and the run that is planned next: what the record holds of each."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from dropbox_runner.core.recordfields import Amount, Count, Kept, PlainName, Steady
from dropbox_runner.core.states import Verdict


class ProcessId(Kept):
    """Which process, beyond doubt: a pid alone may belong to somebody else by now."""

    pid: int = Field(gt=0, lt=2**31, strict=True)
    started: int = Field(gt=0)
    """Start time in kernel clock ticks since boot (/proc/PID/stat, field 22): the wall clock may be moved."""
    boot: str = Field(min_length=1)


def _identity_or_none(value: object) -> object:
    """Take an identity that makes no sense (pid 0, -1, text) for none: then the run's mark tells who it is, if anybody.

    Never a signal to such a pid: 0 and -1 mean whole groups of processes to kill(2).
    """
    try:
        return ProcessId.model_validate(value)
    except ValidationError:
        return None


class StopOrder(Kept):
    """Somebody decided that a run must end. Written before the first signal, so that it also explains the end."""

    verdict: Verdict
    reason: str
    steady: Steady
    """When, on the steady clock of `boot`."""
    boot: str


class Why(StrEnum):
    """What the next run is for; it decides what the prompt says."""

    START = "start"
    ANSWER = "answer"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    LIMITED = "limited"
    OVERLOADED = "overloaded"
    ACCOUNT = "account"
    ALLOWED = "allowed"
    DENIED = "denied"
    MONEY = "money"
    RETRY = "retry"
    HANDED_BACK = "handed_back"
    EDITED = "edited"
    LATE = "late"


class Next(Kept):
    """The run that has been decided on but not yet started."""

    why: Why
    detail: str = ""
    """What went wrong, for a retry."""
    round: Count | None = None
    """Which question and answer it goes on with: question-N.json, answer-N.*."""
    answers: tuple[PlainName, ...] = ()
    """The files that become answer-N.*; named here first, so that a crash in between loses none."""
    passes_answer: bool = True
    """Whether the answer's text goes on to claude; `allow` and the like are for the runner alone."""
    told: Count | None = None
    """The round that claude is told of, where it is not the one that is closed: the runner asked in between."""


class Run(Kept):
    """One process of claude, from just before its start."""

    number: Count
    id: PlainName
    """In the environment of everything the run starts: the mark by which left-overs are found."""
    why: Why
    resumed: bool
    started_at: str
    steady: Steady
    """When it was started, on the steady clock of `boot`; the timeout counts from here."""
    boot: str
    timeout: Amount | None = None
    """Seconds it may take, as task and settings said when it was started."""
    process: Annotated[ProcessId | None, BeforeValidator(_identity_or_none)] = None
    """None: between "about to start" and "started", or the daemon died in between."""
    stop: StopOrder | None = None
    ended_at: str | None = None
    verdict: Verdict | None = None
    """None: not ended, as far as we know."""
    reason: str = ""
    exit_code: int | None = None
    """None when nobody knows: the run was adopted after a restart of the daemon."""
    session_cost_usd: Amount | None = None
    """The session's total as claude reported it at the end of this run (it is cumulative over resumes)."""
    cost_usd: Amount | None = None
    """What this run alone cost; None when it died before it could say."""
    turns: Count | None = None
    messages: Count = 0
    """How many messages of the model are in its log, also when it died before its result."""
    seconds: Steady | None = None
    swept: tuple[str, ...] = ()
    """Processes that outlived the run and were stopped by us."""
    planned: Next | None = None
    """What it was started for, and with `late` and `edited` what it was to tell: if it was cut off before the model had
    said a word, nobody may ever have read it, and the next run tells it again."""
    late: tuple[PlainName, ...] = ()
    edited: bool = False

    @property
    def untold(self) -> Next | None:
        """The run that must say it again; None when this one has been heard."""
        if self.planned is None or self.messages:
            return None
        told = self.planned.round if self.planned.told is None else self.planned.told
        return self.planned.but(round=None, answers=(), told=told)

    @property
    def open(self) -> bool:
        """Whether it was started, or was about to be, and has not been judged."""
        return self.verdict is None
