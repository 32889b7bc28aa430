"""STATUS.md: the same as `status`, for a phone. Written whenever it would say something else."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from dropbox_runner.core.clock import Now
from dropbox_runner.core.durations import format_duration
from dropbox_runner.core.names import printable
from dropbox_runner.core.plan import Plan
from dropbox_runner.core.record import Record
from dropbox_runner.core.recordfields import moment
from dropbox_runner.core.reports import summary
from dropbox_runner.core.secrets import masked
from dropbox_runner.core.seen import Look, Seen
from dropbox_runner.core.settle import Wait
from dropbox_runner.core.states import State
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import Layout
from dropbox_runner.views.overview import LATELY, Row, ended_row, lately, question_of

_MOST = 30
"""How many waiting tasks are named."""


class StatusPage:
    """Keeps the page up to date from what the daemon sees anyway; done/ and failed/ are listed once, at the start."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._path = layout.root / "STATUS.md"
        self._told = ""
        self._shown = _without_time(self._path)
        self._live: frozenset[str] = frozenset()
        self._failures = 0
        """How many of the daemon's failures are on the page, or have been."""
        self._lately = deque(map(_ended, lately(layout)), maxlen=LATELY)

    def update(self, look: Look, planned: Plan, now: Now, failed: Sequence[str]) -> None:
        """Write the page if it has changed. `failed` are the tasks that went to failed/ since the start, oldest first.

        A file that is refused as soon as it is taken has never been seen as a task by any look.
        """
        fresh, self._failures = failed[self._failures :], len(failed)
        self._note_ended(look, fresh)
        # With the time that is left, as it is now; that alone is no reason to write, and to sync, the page again.
        told, text = self._render(look, planned, now, countdown=False), self._render(look, planned, now, countdown=True)
        if told == self._told or text == self._shown:
            self._told = told
            return
        durable.replace_soon(self._path, f"{text}\n_{_clock(now.wall.timestamp())}_\n".encode("utf-8", "replace"))
        self._told, self._shown = told, text

    def _note_ended(self, look: Look, failed: Sequence[str]) -> None:
        live = frozenset(seen.name for seen in look.tasks)
        for name in dict.fromkeys((*sorted(self._live - live), *failed)):
            state = next((one for one in (State.DONE, State.FAILED) if self._layout.task(one, name).is_dir()), None)
            if state is not None:
                row = ended_row(state, self._layout.task(state, name))
                self._lately.appendleft(_ended(row))
        self._live = live

    def _render(self, look: Look, planned: Plan, now: Now, *, countdown: bool) -> str:
        waits = {one.name: one.wait for one in planned.waiting}
        parts = ["# What is going on"]
        if look.paused is not None:
            left = _left(look.paused, now) if countdown else ""
            parts.append(f"**Nothing new is started: {look.paused.reason}{left}**")
        for title, state in (("Waits for you", State.BLOCKED), ("Running", State.RUNNING), ("Pending", State.PENDING)):
            rows = [seen for seen in look.tasks if seen.state is state and not seen.stray]
            shown = [self._line(seen, waits, look.paused, now) for seen in rows[:_MOST]]
            parts += _section(title, shown, len(rows))
        settling = [(drop.file, waits[drop.file]) for drop in look.drops if drop.file in waits]
        shown = [_drop(name, wait, now) for name, wait in settling[:_MOST]]
        parts += _section("Not taken yet", shown, len(settling) + len(look.later))
        alone = _left_alone(look, waits, now)
        parts += _section("Left alone", alone[:_MOST], len(alone))
        parts += _section("Lately", list(self._lately), len(self._lately))
        return masked("\n\n".join(parts)) + "\n"

    def _line(self, seen: Seen, waits: dict[str, Wait], paused: Wait | None, now: Now) -> str:
        name = printable(seen.name)
        wait = waits.get(seen.name)
        why = _wait(wait, now) if wait is not None and wait != paused else ""
        if seen.state is State.BLOCKED:
            asked, options = question_of(self._layout.task(seen.state, seen.name))
            choices = "".join(f"\n  {number}. {option}" for number, option in enumerate(options, 1))
            return f"- **{name}**: {asked}{choices}" + (f"\n  ({why})" if why else "")
        took = f" ({_so_far(seen.record)})" if seen.record is not None and seen.record.runs else ""
        return f"- {name}{took}" + (f": {why}" if why else "")


def _so_far(record: Record) -> str:
    """Say what a task took; of a run that goes on only since when, for nobody knows yet what it costs."""
    run = record.open_run
    if run is None:
        return summary(record)
    before = f"; before that {summary(record.but(runs=record.runs[:-1]))}" if run.number > 1 else ""
    since = moment(run.started_at)
    return f"run {run.number}" + (f" since {_clock(since)}" if since is not None else "") + before


def _ended(row: Row) -> str:
    return f"- {printable(row.name)}: {printable(row.text)}"


def _without_time(path: Path) -> str:
    """Return what the page of an earlier daemon said: writing the same again would only be synced for nothing."""
    try:
        return durable.read(path).decode("utf-8", "replace").rpartition("\n_")[0]
    except (OSError, durable.UnreadableError):
        return ""


def _section(title: str, lines: list[str], of: int) -> list[str]:
    if not of:
        return []
    more = [f"- … and {of - len(lines)} more"] if of > len(lines) else []
    return [f"## {title}", "\n".join([*lines, *more])]


def _left_alone(look: Look, waits: dict[str, Wait], now: Now) -> list[str]:
    strays = {f"{seen.state}/{seen.name}" for seen in look.tasks if seen.stray}
    return [f"- {printable(name)}: {_wait(wait, now)}" for name, wait in waits.items() if name in strays] + [
        f"- {printable(one.name)}: {one.reason}" for one in look.left_alone
    ]


def _drop(name: str, wait: Wait, now: Now) -> str:
    return f"- {printable(name)}: {_wait(wait, now)}"


def _left(wait: Wait, now: Now) -> str:
    return "" if wait.until is None else f" (in {format_duration(max(1, round(wait.until - now.steady)))})"


def _wait(wait: Wait, now: Now) -> str:
    # A time of day and not a countdown: the page would have to be written, and synced, every second.
    return (
        wait.reason
        if wait.until is None
        else f"{wait.reason} (until {_clock(now.wall.timestamp() + wait.until - now.steady)})"
    )


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime("%a %d %b %H:%M")
