"""The texts that lie beside a task when it has ended: result.md, result.json, error.md."""

from __future__ import annotations

import json

from dropbox_runner.core.durations import format_duration
from dropbox_runner.core.record import Outcome, Record
from dropbox_runner.core.secrets import masked
from dropbox_runner.core.states import Verdict

_ADVICE = {
    Verdict.REJECTED: "Mend the file and drop it again; what you dropped lies beside this text, unchanged.",
    Verdict.DUPLICATE: "If it is meant to run once more, move this folder to `pending/`.",
    Verdict.CANCELLED: "To go on after all, move this folder to `pending/`: claude continues in the same session.",
    Verdict.TIMED_OUT: (
        "Give it more time (`timeout:` in the task file), then move this folder to `pending/`: "
        "claude continues in the same session."
    ),
    Verdict.FAILED: (
        "The whole story is in the newest `run-N.jsonl` and `run-N.stderr` beside this text. When the cause is gone, "
        "move this folder to `pending/` (or use `dropbox-runner retry`): claude continues in the same session. "
        "To start from zero, drop the task file again."
    ),
}


def money(record: Record) -> str:
    """Say what the task has cost, and whether that is all of it."""
    known = f"${record.cost_usd:.4f}" if 0 < record.cost_usd < 0.1 else f"${record.cost_usd:.2f}"
    if not record.cost_unknown:
        return known
    return f"at least {known}" if record.cost_usd else "unknown"


def summary(record: Record) -> str:
    """Say in one line what the task took: cost, turns, time, runs."""
    if not record.runs:
        return "never started"
    runs = "1 run" if len(record.runs) == 1 else f"{len(record.runs)} runs"
    turns = "1 turn" if record.turns == 1 else f"{record.turns} turns"
    return f"{money(record)}, {turns}, {format_duration(record.seconds)}, {runs}"


def result_markdown(record: Record, outcome: Outcome, text: str) -> str:
    """Lay out result.md: claude's last message first, because that is what the person came for."""
    rows = [
        ("Verdict", outcome.verdict.value),
        ("Why", masked(outcome.reason.strip().partition("\n")[0])),
        ("Cost", money(record)),
        ("Turns", str(record.turns)),
        ("Duration", format_duration(record.seconds)),
        ("Runs", str(len(record.runs))),
        ("Questions", str(record.rounds)),
        *([("Not acted on", ", ".join(record.not_acted_on))] if record.not_acted_on else []),
        ("Session", record.session_id),
        ("Ended", outcome.at),
    ]
    table = "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows)
    said = text.strip() or "_(claude said nothing)_"
    return f"{said}\n\n---\n\n| {_cell(record.name)} | |\n|---|---|\n{table}\n"


def result_json(record: Record, outcome: Outcome, text: str) -> str:
    """Return the same for programs."""
    return (
        json.dumps(
            {
                "task": record.name,
                "id": record.id,
                "verdict": outcome.verdict.value,
                "reason": outcome.reason,
                "result": text,
                "cost_usd": record.told_cost_usd,
                "cost_complete": not record.cost_unknown,
                "turns": record.turns,
                "seconds": round(record.seconds, 3),
                "runs": len(record.runs),
                "questions": record.rounds,
                "session_id": record.session_id if record.runs else None,
                "dropped_as": record.dropped.file,
                "taken_at": record.taken_at,
                "ended_at": outcome.at,
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


def error_markdown(record: Record, outcome: Outcome) -> str:
    """Lay out error.md: what was wrong, where, what to do."""
    said = masked(outcome.reason.strip())
    if outcome.verdict is Verdict.REJECTED or "\n" in said:
        said = "\n".join(f"    {line}".rstrip() for line in said.splitlines())
    advice = _ADVICE.get(outcome.verdict, _ADVICE[Verdict.FAILED])
    return f"# {record.name}: {outcome.verdict.value.replace('_', ' ')}\n\n{said}\n\n{advice}\n\n_{outcome.at}_\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
