"""`status`: what is going on, what waits for me, what did it cost."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dropbox_runner.cli.common import FolderArgument, inbox
from dropbox_runner.core.durations import format_duration, time_of_day
from dropbox_runner.core.gate import Gate, paused_by
from dropbox_runner.daemon.lock import holder
from dropbox_runner.folder.gatefile import GateFile
from dropbox_runner.folder.ground import MB_TO_TAKE, lack_of_room
from dropbox_runner.folder.layout import GATE, Layout, local_state
from dropbox_runner.folder.ledger import Ledger, LedgerError, Spent
from dropbox_runner.views.overview import Overview, Said, gather, read_notice
from dropbox_runner.views.terminal import show

_PAUSE = 2.0


def status(
    folder: FolderArgument = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until ^C.")] = False,
) -> None:
    """Show what is going on, what waits for you, and what it cost."""
    layout = inbox(folder)
    console = Console()
    while True:
        now = datetime.now(UTC)
        overview = _overview(layout, now)
        if as_json:
            typer.echo(overview.as_json())
        else:
            if watch:
                console.clear()
            show(overview, now, console)
        if not watch:
            return
        time.sleep(_PAUSE)


def _overview(layout: Layout, now: datetime) -> Overview:
    local = local_state(layout)
    pid = holder(local / "lock", layout.root)
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        spent = Ledger(local / "ledger.sqlite").spent(midnight.astimezone(UTC).isoformat(timespec="seconds"))
    except LedgerError as error:
        typer.echo(error, err=True)
        spent = Spent()
    gate, pause = _closed_gate(local, now), paused_by(path.name for path in layout.root.iterdir())
    said = read_notice(local / "notice.json", now) if pid is not None else _without_daemon(gate, pause, now)
    if not said.held and (lack := lack_of_room(layout, MB_TO_TAKE)) is not None:
        said = replace(said, held=lack)  # the daemon knows, but could not write it down
    return gather(layout, pid, replace(said, resumable=gate is not None or pause is not None), spent)


def _closed_gate(local: Path, now: datetime) -> Gate | None:
    gate = GateFile(local / GATE).read()
    return gate if gate is not None and gate.left(now.timestamp()) > 0 else None


def _without_daemon(gate: Gate | None, pause: str | None, now: datetime) -> Said:
    """Say what would hold a daemon that is started now: both outlive it."""
    if pause is not None:
        return Said(held=pause)
    if gate is None:
        return Said()
    words = gate.in_words(time_of_day(gate.until, now.timestamp()))
    return Said(held=f"{words} (in {format_duration(max(1, round(gate.left(now.timestamp()))))})")
