"""The overview on one screen of a terminal."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from dropbox_runner.core.durations import format_duration
from dropbox_runner.core.names import printable
from dropbox_runner.core.recordfields import moment
from dropbox_runner.core.states import State
from dropbox_runner.views.overview import Overview, Row


def show(overview: Overview, now: datetime, console: Console) -> None:
    """Print the overview."""
    console.print(_page(overview, now), highlight=False)


def _page(overview: Overview, now: datetime) -> RenderableType:
    parts: list[RenderableType] = [_heading(overview)]
    if overview.held:
        parts.append(Text(f"nothing new is started: {printable(overview.held)}", style="bold red"))
    if overview.held and overview.resumable:
        parts.append(Text("to start at once all the same: dropbox-runner resume", style="dim"))
    for title, style, rows in (
        ("waits for you", "yellow", overview.asking),
        ("running", "cyan", overview.running),
        ("pending", "", overview.pending),
        ("inbox", "", overview.inbox),
        ("left alone", "", overview.left_alone),
        ("lately", "", overview.lately),
    ):
        if rows:
            # What only waits for what the heading says need not say it again.
            rows = tuple(replace(row, text="") if row.text == overview.held else row for row in rows)  # noqa: PLW2901
            parts += [Text(f"\n{title}", style=f"bold {style}".strip()), _table(rows, now)]
    if overview.asking:
        name = overview.asking[0].name
        parts.append(
            Text(f'\n  answer: write blocked/{name}/answer.md, or: dropbox-runner answer {name} "…"', style="dim")
        )
    parts.append(Text(f"\n{_costs(overview)}", style="dim"))
    return Group(*parts)


def _heading(overview: Overview) -> Text:
    text = Text(printable(overview.root), style="bold")
    if overview.daemon_pid is None:
        return text.append("   no daemon runs: dropbox-runner run", style="red")
    return text.append(f"   daemon runs (pid {overview.daemon_pid})", style="green")


def _table(rows: tuple[Row, ...], now: datetime) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(Text(f"  {_sign(row)}{printable(row.name)}"), Text(_when(row, now), style="dim"), _said(row))
    return table


def _sign(row: Row) -> str:
    return {State.DONE.value: "✓ ", State.FAILED.value: "✗ "}.get(row.state, "")


def _when(row: Row, now: datetime) -> str:
    since = moment(row.since or "")
    if since is None:
        return ""
    passed = format_duration(max(0.0, now.timestamp() - since))
    cost = "" if row.state in (State.DONE, State.FAILED) else _cost(row)
    return (f"run {row.run}, {passed}" if row.state == State.RUNNING else f"{passed} ago") + cost


def _cost(row: Row) -> str:
    if row.cost_usd is None:
        return ", cost unknown"
    least = "" if row.cost_complete else "at least "
    return f", {least}${row.cost_usd:.2f}" if row.cost_usd else ""


def _said(row: Row) -> Text:
    text = Text(printable(row.text))
    for number, option in enumerate(row.options, 1):
        text.append(f"  [{number}] {printable(option)}", style="bold")
    return text


def _costs(overview: Overview) -> str:
    number = overview.cost_unknown_runs
    unknown = f" (and {number} {'run' if number == 1 else 'runs'} of unknown cost)" if number else ""
    return (
        f"{overview.done} done, {overview.failed} failed · "
        f"spent today ${overview.spent_today_usd:.2f}, in all ${overview.spent_total_usd:.2f}{unknown}"
    )
