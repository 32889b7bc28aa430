"""What the stand-in keeps between runs: its sessions, and a log of every time it was called."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dropbox_runner.standin.arguments import Refusal, is_uuid
from dropbox_runner.standin.protocol import unknown_session

if TYPE_CHECKING:
    from dropbox_runner.standin.arguments import Arguments


class Session:
    """One conversation, as <state>/sessions/<id>.json holds it; `runs` counts those that began, this one included."""

    def __init__(
        self, session_id: str, prompts: list[str], runs: int = 0, turns: int = 0, total_cost_usd: float = 0.0
    ) -> None:
        self.session_id = session_id
        self.prompts = prompts
        self.runs = runs
        self.turns = turns
        self.total_cost_usd = total_cost_usd


class Store(NamedTuple):
    """The state folder. Nothing in it is half-written: a session is renamed into place, a log line is one write."""

    root: Path

    def open(self, arguments: Arguments, fresh_id: str) -> Session:
        """Find the session to go on with or make a new one, in memory; guard the ids as claude does."""
        if arguments.resume is not None:
            return self._load(arguments.resume)
        session_id = arguments.session_id or fresh_id
        if self._file(session_id).exists():
            raise Refusal(f"Error: Session ID {session_id} is already in use.")
        return Session(session_id, prompts=[])

    def save(self, session: Session) -> None:
        """From here on the id is used up, and --resume finds it."""
        file = self._file(session.session_id)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(vars(session), indent=1), encoding="utf-8")
        temporary.replace(file)

    def log(self, arguments: Arguments, **more: object) -> None:
        """Append one line to invocations.jsonl."""
        entry: dict[str, object] = {
            "time": time.time(),
            "pid": os.getpid(),
            "argv": arguments.argv,
            "cwd": _working_directory(),
            "session_id": arguments.resume if arguments.resume is not None else arguments.session_id,
            "resume": arguments.resume is not None,
            "env": dict(os.environ),
        }
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "invocations.jsonl").open("ab", buffering=0) as log:
            log.write(json.dumps(entry | more).encode() + b"\n")

    def _load(self, session_id: str) -> Session:
        try:
            if is_uuid(session_id):
                return Session(**json.loads(self._file(session_id).read_bytes()))
        except FileNotFoundError:
            pass
        message = f"No conversation found with session ID: {session_id}"
        raise Refusal(message, stdout=unknown_session(session_id, message))

    def _file(self, session_id: str) -> Path:
        return self.root / "sessions" / f"{session_id.lower()}.json"


def _working_directory() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return None
