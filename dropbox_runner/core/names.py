"""Which names in the folder mean something, and what the folder of a task is called.

The patterns come from the programs' own sources and from what they were seen to do (editors, sync tools, browsers,
desktops). The rule of thumb behind them: what starts with `.` `~` `#` or ends with `~` `#` belongs to a program.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum, auto
from pathlib import PurePosixPath
from typing import assert_never

from dropbox_runner.core.states import State

TASK_SUFFIXES = (".yaml", ".yml", ".md", ".markdown", ".txt")
_STATES = frozenset(state.value for state in State)
_LONGEST = 100
"""Bytes in the name of a task's folder: leaves room for `-12`, and for what sync tools add, in 255 bytes."""

_TEMPORARY = re.compile(
    r"""
      ^[.~\#]                       # hidden, Syncthing's ~syncthing~, Office's ~$, emacs' #name# and .#name
    | [~\#]$                        # backups of vim, emacs, nano
    | ^4913$                        # vim probes whether it may write here
    | ^sed[A-Za-z0-9]{6}$           # sed -i
    | \.(tmp|temp|part|partial|filepart|crdownload|download|opdownload|swp|swo|swx|bak|orig|rej|old|kate-swp|bts)$
    | \.!sync$ | !sync$             # Resilio
    | ___jb_(tmp|old)___$           # JetBrains' safe write
    | ^(Thumbs\.db|desktop\.ini|Icon\r)$
    | :Zone\.Identifier$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CONFLICT = re.compile(
    r"""
      \.sync-conflict-\d{8}-\d{6}   # Syncthing
    | \(.*conflicted\ copy.*\)      # Dropbox, Nextcloud
    | _conflict-\d                  # ownCloud
    | \(SFConflict\ .*\)            # Seafile
    | \.Conflict(\.|$)              # Resilio
    | \.conflict\d+$                # rclone bisync
    | -safeBackup-\d+               # OneDrive client
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DRAFT = re.compile(r"\.draft(\.|$)", re.IGNORECASE)
_OURS = re.compile(r"^(readme|status|pause|license|changelog)([.\s_-]|$)", re.IGNORECASE)


class Kind(Enum):
    """What a name in the inbox is to us."""

    TASK = auto()
    CONFLICT = auto()
    """A copy that a sync tool made because two sides had changed a file: never run, never deleted, reported."""
    TEMPORARY = auto()
    """Somebody's half of an operation: nothing to see."""
    LEFT_ALONE = auto()
    """A draft, a readme, another kind of file: none of our business."""


def kind_of(name: str) -> Kind:
    """Tell what a file of this name in the inbox is to us."""
    if _TEMPORARY.search(name):
        return Kind.TEMPORARY
    if _CONFLICT.search(name):
        return Kind.CONFLICT
    if _DRAFT.search(name) or _OURS.search(name) or name in _STATES:
        return Kind.LEFT_ALONE
    return Kind.TASK if PurePosixPath(name).suffix.lower() in TASK_SUFFIXES else Kind.LEFT_ALONE


def why_no_task(name: str) -> str | None:
    """Say why a file of this name is never taken as a task; None when it is."""
    match kind_of(name):
        case Kind.TASK:
            return None
        case Kind.CONFLICT:
            return "it is the copy that a sync tool makes of a file that was changed on two sides"
        case Kind.TEMPORARY:
            return "its name is that of a temporary or hidden file"
        case Kind.LEFT_ALONE if PurePosixPath(name).suffix.lower() not in TASK_SUFFIXES:
            return f"its name must end in {', '.join(TASK_SUFFIXES)}"
        case Kind.LEFT_ALONE if _DRAFT.search(name):
            return "it is a draft; rename it to run it"
        case Kind.LEFT_ALONE:
            return "files of this name (README, STATUS, PAUSE, LICENSE, CHANGELOG) are left alone"
        case other:
            assert_never(other)


def is_pause(name: str) -> bool:
    """Say whether a file of this name keeps new runs from being started: PAUSE, with any ending."""
    return name.partition(".")[0] == "PAUSE"


def folder_name(file: str) -> str:
    """Return the name of the task's folder: the file's, without what shells, terminals and other systems choke on.

    `fix login.yaml` → `fix-login`. Never empty, never hidden, never a path, at most 100 bytes of UTF-8.
    """
    stem = unicodedata.normalize("NFC", PurePosixPath(file).stem if "." in file.lstrip(".") else file)
    kept = "".join(char if char.isalnum() or char in "._+@=-" else "-" for char in stem)
    name = re.sub(r"-{2,}", "-", kept).strip("-.") or "task"
    while len(name.encode()) > _LONGEST:
        name = name[:-1]
    return name.rstrip("-.") or "task"


def numbered(name: str, number: int) -> str:
    """Return the number-th name to try: `fix-login`, `fix-login-2`, `fix-login-3` …"""
    return name if number == 1 else f"{name}-{number}"


def readable(name: str) -> str:
    """Return a file's name as it can be written into UTF-8 files: what is no UTF-8 is shown as a hexadecimal escape.

    Two names never read the same: backslashes are doubled, or a name that holds one could pass for such an escape, and
    its file for an edit of the other.
    """
    return name.replace("\\", "\\\\").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """Return the text on one line, with everything escaped that could steer a terminal or fake a log line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )
