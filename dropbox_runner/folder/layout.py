"""Where everything lies: the names inside the watched folder and outside of it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from dropbox_runner.core.states import State

RECORD = "record.json"
QUESTION = "question.json"
QUESTION_TEXT = "question.md"
LATE_ANSWER = "late-answer"
ERROR = "error.md"
RESULT = "result.json"
RESULT_TEXT = "result.md"
WORK = "work"
GATE = "gate/gate.json"
"""In a folder of its own, because the daemon watches that for its removal."""


@dataclass(frozen=True)
class Layout:
    """The paths of one watched folder. `root` is absolute and holds no symbolic link."""

    root: Path

    @classmethod
    def of(cls, root: Path) -> Layout:
        """Resolve links first: a watch on a link reports nothing, and the lock must be one per folder."""
        return cls(Path(os.path.realpath(root.expanduser())))

    @property
    def hidden(self) -> Path:
        """Our own corner of the folder."""
        return self.root / ".dropbox-runner"

    @property
    def owner(self) -> Path:
        """Which machine runs this folder."""
        return self.hidden / "owner.json"

    @property
    def outbox(self) -> Path:
        """Where the command line writes a file before it moves it to where it is seen, complete, at once."""
        return self.hidden / "tmp"

    def state(self, state: State) -> Path:
        """Return the folder of a state."""
        return self.root / state.value

    def task(self, state: State, name: str) -> Path:
        """Return the folder of a task."""
        return self.root / state.value / name

    def exists(self) -> bool:
        """Whether the folder has been made by `init`: all states are there."""
        return all(self.state(state).is_dir() for state in State)

    def find(self, name: str) -> State | None:
        """Say where the task of this name lies."""
        return next((state for state in State if self.task(state, name).is_dir()), None)


def state_home() -> Path:
    """Return our corner for what belongs to this machine: the lock, the ledger, the id of this installation."""
    base = os.environ.get("XDG_STATE_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "dropbox-runner"


def config_file() -> Path:
    """Return the settings file that is read when none is named."""
    base = os.environ.get("XDG_CONFIG_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "dropbox-runner" / "config.yaml"


def local_state(layout: Layout) -> Path:
    """Return where this machine keeps what it knows of one watched folder."""
    digest = hashlib.sha256(os.fsencode(layout.root)).hexdigest()[:16]
    return state_home() / "folders" / digest
