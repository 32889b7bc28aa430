"""`ask`: for the agent, inside a run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dropbox_runner.core.errors import RunnerError, UsageError
from dropbox_runner.core.question import Question, parse_questions
from dropbox_runner.folder import durable


def ask(
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="The question; left out or `-`: from stdin.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="A possible answer; may be repeated.")
    ] = None,
) -> None:
    """Ask the person who gave this task (inside a run only), then end your turn: the answer is your next message."""
    target = os.environ.get("DROPBOX_RUNNER_QUESTION_FILE")
    if not target:
        raise UsageError("`ask` works only inside a run: there is nobody here whom it could ask for.")
    words = " ".join(text or [])
    said = sys.stdin.read() if words in ("", "-") else words
    if not said.strip():
        raise UsageError('what is the question? Say: dropbox-runner ask "…" --option "…" --option "…"')
    path = Path(target)
    try:
        _leave(path, Question(text=said.strip(), options=tuple(option or ())))
    except (OSError, durable.UnreadableError) as error:
        # Told only of a full disk, an agent may well end its turn as if it had asked; and that would be "done".
        reason = error.strerror if isinstance(error, OSError) else error
        raise RunnerError(
            f"your question has NOT been left ({reason}): nobody will see it. Wait a minute and run the very same "
            "command again, until it says that the question has been left; do not end your turn before that."
        ) from error
    typer.echo("Your question has been left for the person. End your turn now; the answer comes as your next message.")


def _leave(path: Path, question: Question) -> None:
    asked = (*_asked_before(path), question)
    rows = [{"text": one.text, "options": list(one.options)} for one in asked]
    durable.write(
        path, (json.dumps({"questions": rows}, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")
    )


def _asked_before(path: Path) -> tuple[Question, ...]:
    try:
        return parse_questions(durable.read(path))[0]
    except FileNotFoundError:
        return ()
