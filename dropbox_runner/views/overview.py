"""What is going on in a folder: gathered once, shown by the terminal, as JSON, or as a page."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dropbox_runner.core.durations import format_duration
from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.question import parse_questions
from dropbox_runner.core.record import Record
from dropbox_runner.core.reports import summary
from dropbox_runner.core.secrets import masked
from dropbox_runner.core.seen import conflicts_first
from dropbox_runner.core.states import State
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import QUESTION, QUESTION_TEXT, Layout
from dropbox_runner.folder.ledger import Spent
from dropbox_runner.folder.scan import Found, Scanner
from dropbox_runner.folder.taskfolder import TaskFolder

_LONGEST = 1000
"""Characters of a question on a page or screen that is to show other tasks as well."""
LATELY = 8
"""How many ended tasks are shown."""


@dataclass(frozen=True)
class Row:
    """One task, in the words that a person reads."""

    name: str
    state: str
    since: str | None = None
    """ISO 8601, UTC."""
    text: str = ""
    """What it waits for, what it asks, or how it ended."""
    options: tuple[str, ...] = ()
    run: int = 0
    cost_usd: float | None = 0.0
    """None: unknown."""
    cost_complete: bool = True
    """False: it is only what is known of it, as a run was killed before it could say."""


@dataclass(frozen=True)
class Overview:
    """Everything that `status` shows."""

    root: str
    daemon_pid: int | None
    held: str = ""
    """Why nothing new is started, if nothing is."""
    resumable: bool = False
    """Whether `dropbox-runner resume` would change that: not a full disk, or a spent budget."""
    asking: tuple[Row, ...] = ()
    running: tuple[Row, ...] = ()
    pending: tuple[Row, ...] = ()
    inbox: tuple[Row, ...] = ()
    """Dropped, but not taken yet."""
    left_alone: tuple[Row, ...] = ()
    """Nothing is done about it: copies that sync tools made of conflicts, other kinds of files."""
    lately: tuple[Row, ...] = ()
    done: int = 0
    failed: int = 0
    spent_today_usd: float = 0.0
    spent_total_usd: float = 0.0
    cost_unknown_runs: int = 0

    def as_json(self) -> str:
        """Return it for programs."""
        return json.dumps(asdict(self), indent=2)


def gather(layout: Layout, daemon_pid: int | None, said: Said, spent: Spent) -> Overview:
    """Look at the folder, and add what the daemon says of why something is not done yet."""
    waits = said.waits
    scanner = Scanner(layout)
    tasks = sorted(scanner.tasks(), key=_age)
    rows = {
        state: tuple(_row(layout, one, waits) for one in tasks if one.state is state and not one.headless)
        for state in State
    }
    inbox = scanner.inbox()
    dropped = tuple(Row(name=file, state="inbox", text=waits.get(file, "")) for file in inbox.drops)
    alone = [*inbox.left_alone, *scanner.loose, *(one for found in tasks for one in found.left_alone)]
    left = [Row(name=one.name, state="left alone", text=one.reason) for one in conflicts_first(alone)]
    strays = [f"{one.state}/{one.name}" for one in tasks if one.headless]
    left += [Row(name=name, state="left alone", text=waits[name]) for name in strays if name in waits]
    done, failed = (_names(layout, state) for state in (State.DONE, State.FAILED))
    return Overview(
        root=str(layout.root),
        daemon_pid=daemon_pid,
        held=said.held,
        resumable=said.resumable,
        asking=rows[State.BLOCKED],
        running=rows[State.RUNNING],
        pending=rows[State.PENDING],
        inbox=dropped,
        left_alone=tuple(left),
        lately=_lately([*done, *failed]),
        done=len(done),
        failed=len(failed),
        spent_today_usd=spent.today,
        spent_total_usd=spent.total,
        cost_unknown_runs=spent.unknown,
    )


def _age(found: Found) -> tuple[int, str, str]:
    record = found.record
    return (record.priority, record.taken_at, found.name) if record is not None else (0, "", found.name)


def _row(layout: Layout, found: Found, waits: dict[str, str]) -> Row:
    record = found.record
    if record is None:
        return Row(name=found.name, state=found.state.value, text=found.trouble or found.unreadable)
    question, options = question_of(layout.task(found.state, found.name)) if found.state is State.BLOCKED else ("", ())
    last = record.last
    since = last.started_at if found.state is State.RUNNING and last is not None else _changed(record)
    return Row(
        name=found.name,
        state=found.state.value,
        since=since,
        text=" · ".join(part for part in (question, waits.get(found.name, "")) if part),
        options=options,
        run=len(record.runs),
        cost_usd=record.told_cost_usd,
        cost_complete=not record.cost_unknown,
    )


def _changed(record: Record) -> str:
    return record.history[-1].at if record.history else record.taken_at


def question_of(folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return the question that waits in a task's folder, on one line, and its options."""
    try:
        questions, _ = parse_questions(durable.read(folder / QUESTION))
    except (OSError, RunnerError):
        return "", ()
    text = " ".join(questions[0].text.split())
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}… (all of it is in {QUESTION_TEXT})"
    more = f" (and {len(questions) - 1} more)" if len(questions) > 1 else ""
    options = questions[0].options if len(questions) == 1 else ()
    return masked(text + more), tuple(masked(option) for option in options)


def _names(layout: Layout, state: State) -> list[tuple[float, State, str]]:
    with os.scandir(layout.state(state)) as entries:
        return [
            (one.stat(follow_symlinks=False).st_mtime, state, one.path)
            for one in entries
            if one.is_dir(follow_symlinks=False)
        ]


def lately(layout: Layout) -> tuple[Row, ...]:
    """Return the tasks that have ended last."""
    return _lately([*_names(layout, State.DONE), *_names(layout, State.FAILED)])


def _lately(folders: list[tuple[float, State, str]]) -> tuple[Row, ...]:
    return tuple(ended_row(state, Path(path)) for _, state, path in sorted(folders, reverse=True)[:LATELY])


def ended_row(state: State, path: Path) -> Row:
    """Say of a task in done/ or failed/ how it ended."""
    try:
        record = TaskFolder(path).record()
    except (OSError, RunnerError):
        return Row(name=path.name, state=state.value, text="put aside; its error.md says why")
    outcome = record.outcome
    said = outcome.verdict.value.replace("_", " ") if outcome is not None else "moved here by hand"
    reason = outcome.reason.strip().partition("\n")[0] if outcome is not None and state is State.FAILED else ""
    return Row(
        name=path.name,
        state=state.value,
        since=outcome.at if outcome is not None else None,
        text=masked(f"{said}: {reason}" if reason else f"{said} ({summary(record)})"),
        run=len(record.runs),
        cost_usd=record.told_cost_usd,
        cost_complete=not record.cost_unknown,
    )


@dataclass(frozen=True)
class Said:
    """What the daemon says of itself."""

    waits: dict[str, str] = field(default_factory=dict)
    """Name → why it waits, and for how long still."""
    held: str = ""
    """Why nothing new is started."""
    resumable: bool = False
    """Whether a person may start it again all the same."""


def read_notice(path: Path, now: datetime) -> Said:
    """Read what the daemon has let known (notice.json)."""
    try:
        notice: dict[str, Any] = json.loads(durable.read(path))
        held = notice.get("held")
        waits = {str(one["name"]): _wait(one, now) for one in notice["waiting"]}
        return Said(waits, _wait(held, now) if held else "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RunnerError):
        return Said()


def _wait(one: dict[str, Any], now: datetime) -> str:
    reason = masked(str(one["reason"]))
    left = one["until"] - now.timestamp() if isinstance(one.get("until"), int | float) else 0
    return f"{reason} (in {format_duration(max(1, round(left)))})" if left > 0 else reason
