"""Which machine runs a folder.

Two daemons on two machines that sync one folder would both run every task: a rename is atomic only on its own
machine. So the folder names its owner, by an id made once on that machine (/etc/machine-id is no use: cloned machines
share it).
"""

from __future__ import annotations

import json
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dropbox_runner.core.errors import NotOursError, RefusedError
from dropbox_runner.core.states import LIVE, State
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import Layout, state_home


@dataclass(frozen=True)
class Owner:
    """Who runs a folder: the id decides, the rest is for people."""

    id: str
    host: str
    path: str


def this_machine(layout: Layout) -> Owner:
    """Return this installation as an owner; its id is made at the first call and kept."""
    try:
        known = durable.read(_id_file()).decode("ascii", "ignore").strip()
    except FileNotFoundError:
        known = ""
    here = Owner(known or uuid.uuid4().hex, socket.gethostname(), str(layout.root))
    if not known:
        # Two machines whose file was emptied would take each other for themselves.
        remember(here)
    return here


def remember(here: Owner) -> None:
    """Write down the id of this machine."""
    _id_file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    durable.write(_id_file(), f"{here.id}\n".encode())


def _id_file() -> Path:
    return state_home() / "machine-id"


def owner_of(layout: Layout) -> Owner | None:
    """Read owner.json. RefusedError when it is there and makes no sense: guessing could run everything twice."""
    try:
        said = json.loads(durable.read(layout.owner))
        return Owner(str(said["id"]), str(said.get("host", "?")), str(said.get("path", "?")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, durable.UnreadableError) as error:
        raise RefusedError(
            f"{layout.owner} does not say which machine runs this folder ({error}). "
            "If it is this one, start once with --take-over."
        ) from error


def claim(layout: Layout, *, take_over: bool) -> None:
    """Make sure that this machine runs the folder; RefusedError when it is another's."""
    here = this_machine(layout)
    owner = None if take_over else owner_of(layout)
    if owner is None:
        if not take_over and _holds_tasks(layout):
            raise RefusedError(
                f"{layout.root} holds tasks, but does not say which machine runs it: it may be a copy. "
                "If no other machine runs it, start once with --take-over."
            )
        durable.make_directory(layout.hidden)
        _write(layout, here)
    elif owner.id != here.id:
        raise NotOursError(
            f"{layout.root} is run by {owner.host} (there: {owner.path}). Two machines would run every task twice. "
            "If that one has stopped for good, start once with --take-over."
        )
    elif owner.path != here.path:
        if _holds_tasks_of(layout, owner):
            raise RefusedError(
                f"{layout.root} is a copy of {owner.path}, which is still there: its tasks would be run a second time. "
                "If this is the one to go on with, start once with --take-over."
            )
        with suppress(OSError):  # it is only for people, and for the next copy
            _write(layout, here)


def _write(layout: Layout, owner: Owner) -> None:
    durable.write(layout.owner, (json.dumps(vars(owner), indent=2) + "\n").encode())


def _holds_tasks(layout: Layout) -> bool:
    return any(any(layout.state(state).iterdir()) for state in State if layout.state(state).is_dir())


def _holds_tasks_of(layout: Layout, owner: Owner) -> bool:
    """Say whether what would be run here also lies where this folder was run before.

    Most often nothing lies there any more, because it was moved; and another path (a bind mount) is no copy.
    """
    with suppress(OSError, ValueError, RefusedError):
        original = Layout.of(Path(owner.path))
        before = owner_of(original)
        if before is not None and before.id == owner.id and not original.root.samefile(layout.root):
            return any(original.find(task.name) for state in LIVE for task in layout.state(state).iterdir())
    return False
