"""One task on a screen: where it stands, its runs, what a person has allowed it, its history."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dropbox_runner.core.durations import format_duration
from dropbox_runner.core.names import printable
from dropbox_runner.core.record import Record
from dropbox_runner.core.reports import summary
from dropbox_runner.core.run import Run
from dropbox_runner.core.secrets import masked
from dropbox_runner.core.states import State
from dropbox_runner.folder.taskfolder import TaskFolder
from dropbox_runner.views.overview import question_of


def show_task(state: State, folder: TaskFolder, console: Console) -> None:
    """Print what is known of a task."""
    record = folder.record()
    console.print(
        Text(f"{printable(folder.name)}   {state}", style="bold"),
        Text(printable(str(folder.path)), style="dim"),
        sep="\n",
    )
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(state, folder, record):
        facts.add_row(Text(f"  {name}", style="dim"), Text(printable(masked(value))))
    console.print(facts)
    if record.runs:
        console.print(Text("\nruns", style="bold"), _runs(record))
    console.print(Text("\nhistory", style="bold"))
    for event in record.history:
        console.print(Text(f"  {printable(event.at)}  {printable(masked(event.text))}"))


def _facts(state: State, folder: TaskFolder, record: Record) -> list[tuple[str, str]]:
    outcome = record.outcome
    question, _ = question_of(folder.path) if state is State.BLOCKED else ("", ())
    facts = [
        ("asks", question),
        ("ended", f"{outcome.verdict}: {outcome.reason}" if outcome is not None else ""),
        ("took", summary(record)),
        ("budget", _budget(record)),
        ("handed over by", record.parent or ""),
        ("handed over", ", ".join(one.name for one in record.subtasks)),
        ("allowed by you", ", ".join(record.rules)),
        ("dropped as", record.dropped.file),
        ("works in", record.working_dir or "its own work/"),
        ("session", record.session_id if record.runs else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _budget(record: Record) -> str:
    if record.budget_usd is not None:
        return f"${record.budget_usd:.2f} (your answer)"
    return f"${record.share_usd:.2f} (its share of that of {record.parent})" if record.share_usd is not None else ""


def _runs(record: Record) -> Table:
    table = Table.grid(padding=(0, 2))
    for run in record.runs:
        table.add_row(
            Text(f"  {run.number}"),
            Text(printable(run.started_at)),
            Text(format_duration(run.seconds) if run.seconds is not None else ""),
            Text(_cost(run)),
            Text("" if run.verdict is None else run.verdict.value.replace("_", " ")),
            Text(printable(masked(run.reason.strip().partition("\n")[0]))),
        )
    return table


def _cost(run: Run) -> str:
    if run.open:
        return "…"
    return "unknown" if run.cost_usd is None else f"${run.cost_usd:.4f}"
