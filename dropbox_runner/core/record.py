"""record.json: what the runner itself knows of a task, and keeps over restarts.

The folder says where a task is; the record says what has been started for it. Together they tell the next
look what to do after any crash, so every step of an action is written here before its effect.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Self

from pydantic import ValidationError

from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.recordfields import Amount, Count, Kept, PlainName, UnixTime
from dropbox_runner.core.run import Next, Run
from dropbox_runner.core.states import Verdict

VERSION = 1


class RecordError(RunnerError):
    """record.json cannot be understood."""


class NewerRecordError(RecordError):
    """A newer version has written it, in a way that this one cannot understand."""


class Topic(StrEnum):
    """What the runner itself asks about; claude's own questions have no topic."""

    CUT_OFF = "cut_off"
    OUTAGE = "outage"
    SESSION = "session"
    DENIED = "denied"
    MONEY = "money"


class Asking(Kept):
    """A question that the runner asks, and not claude: the answer is for the runner as well."""

    topic: Topic
    rules: tuple[str, ...] = ()
    """What `allow` would grant."""
    planned: Next | None = None
    """The run that it keeps waiting: what that was to tell claude is not lost."""


class Outcome(Kept):
    """How the whole task ended. Written before it moves to done/ or failed/."""

    verdict: Verdict
    reason: str
    at: str


class Event(Kept):
    """One line of the task's history."""

    at: str
    text: str


class Subtask(Kept):
    """A task that this one has handed over."""

    id: str
    name: str
    share_usd: Amount | None = None
    """What was taken off this task's budget for it."""


class Dropped(Kept):
    """The file that somebody dropped, as it was when it was taken."""

    file: str
    sha256: str = ""
    mtime_ns: int = 0


class Record(Kept):
    """Everything about one task that must outlive the daemon."""

    version: int = VERSION
    id: str
    name: str
    dropped: Dropped
    taken_at: str
    session_id: PlainName
    session_seen: bool = False
    """Whether claude has ever reported this session: from then on it is resumed, never started."""
    working_dir: str | None = None
    """Chosen at the first start and kept, because a session belongs to its directory."""
    priority: int = 0
    """Lower starts first."""
    not_before: UnixTime | None = None
    """Unix time before which no run is started."""
    rounds: Count = 0
    """How many questions have been closed with an answer."""
    cut_off: Count = 0
    """Interruptions in a row; reset by any run that ends by itself."""
    retried: Count = 0
    throttled: Count = 0
    """Runs in a row that the API could not serve."""
    throttled_since: UnixTime | None = None
    """Unix time of the first of these."""
    rules: tuple[str, ...] = ()
    """Permissions that a person has granted for the rest of the task."""
    budget_usd: Amount | None = None
    """A new total that a person has set in an answer; it takes the place of the task's own."""
    parent: PlainName | None = None
    """The task that handed this one over."""
    depth: Count = 0
    """How many tasks stand above it."""
    share_usd: Amount | None = None
    """What its parent's budget has left for it."""
    subtasks: tuple[Subtask, ...] = ()
    """The tasks that it has handed over itself."""
    config_dir: str | None = None
    """CLAUDE_CONFIG_DIR at the first start ("": none): sessions belong to it."""
    asking: Asking | None = None
    """Set while a question of the runner's own waits for its answer."""
    next: Next | None = None
    outcome: Outcome | None = None
    """None: it has not ended."""
    edited: bool = False
    """The task's file was replaced by a newer one of which the session has not been told yet."""
    changed: bool = False
    """The task's file was changed in pending/, and has not been read since: whoever is at it may not have finished."""
    attached: tuple[PlainName, ...] = ()
    """What newer texts of it have brought along, by its name in work/; the next prompt names it."""
    not_acted_on: tuple[str, ...] = ()
    """Fields of the task that this version reads, but does nothing about."""
    late: tuple[PlainName, ...] = ()
    """Answers that came too late for their question; the next prompt passes them on."""
    runs: tuple[Run, ...] = ()
    history: tuple[Event, ...] = ()

    @property
    def last(self) -> Run | None:
        """The newest run, open or ended."""
        return self.runs[-1] if self.runs else None

    @property
    def open_run(self) -> Run | None:
        """The run that is going on, if there is one."""
        return self.last if self.last is not None and self.last.open else None

    @property
    def cost_usd(self) -> float:
        """What is known to have been spent on this task."""
        # Sums of dollars in binary end in …0000002, and people read them in result.json.
        return round(sum(run.cost_usd or 0.0 for run in self.runs), 6)

    @property
    def handed_over_usd(self) -> float:
        """What was taken off its budget for tasks that it has handed over."""
        return sum(one.share_usd or 0.0 for one in self.subtasks)

    @property
    def cost_unknown(self) -> bool:
        """Whether a run died before it could say what it cost, so that `cost_usd` is a lower bound."""
        return any(not run.open and run.cost_usd is None for run in self.runs)

    @property
    def told_cost_usd(self) -> float | None:
        """What to tell programs: None where not even a lower bound is known, which is not nothing."""
        return None if self.cost_unknown and not self.cost_usd else self.cost_usd

    @property
    def seconds(self) -> float:
        """How long claude worked on it, over all runs."""
        return sum(run.seconds or 0.0 for run in self.runs)

    @property
    def turns(self) -> int:
        """How many turns claude took, over all runs."""
        return sum(run.turns or 0 for run in self.runs)

    @property
    def turns_seen(self) -> int:
        """How many messages the model has written for this task, over all runs: has any work been done?"""
        return sum(run.messages for run in self.runs)

    def with_run(self, run: Run) -> Self:
        """Add a run, or put it in the place of the one with its number."""
        others = tuple(one for one in self.runs if one.number != run.number)
        return self.but(runs=(*others, run))

    def with_what_was_not_told(self, run: Run, answers: tuple[str, ...] = ()) -> Self:
        """Take back what a run was to tell, if nobody has read it; `answers` are the files that it passed on."""
        if run.untold is None:
            return self
        late = tuple(dict.fromkeys((*run.late, *answers, *self.late)))
        return self.but(late=late, edited=self.edited or run.edited)

    def with_event(self, at: str, text: str) -> Self:
        """Add a line to the history."""
        return self.but(history=(*self.history, Event(at=at, text=text)))

    def to_json(self) -> bytes:
        """Return the bytes of record.json."""
        text = json.dumps(self.model_dump(exclude_none=True), indent=2, ensure_ascii=False) + "\n"
        # Names and texts of others may hold lone surrogates; the record must be writable, and readable again.
        return text.encode("utf-8", "replace")


def read_record(data: bytes) -> Record:
    """Understand record.json; RecordError says what is wrong with it, NewerRecordError that an upgrade will help."""
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        if (version := _version(data)) > VERSION:
            raise NewerRecordError(
                f"record.json was written by a newer version of dropbox-runner (record version {version}, this one "
                f"knows {VERSION}) and says something new at {where}: upgrade dropbox-runner"
            ) from error
        raise RecordError(f"record.json: {where}: {first['msg'].removeprefix('Value error, ')}") from error


def _version(data: bytes) -> int:
    try:
        content: Any = json.loads(data)
    except (ValueError, RecursionError):
        return 0
    version = content.get("version") if isinstance(content, dict) else None
    return version if isinstance(version, int) else 0
