"""The locks that editors keep beside a file, and whether whoever made one still lives.

An editor that was killed leaves its lock behind, and so does a sync tool that brings one along from another machine. A
lock that nobody will ever take away must not hold up a task for ever.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_VIM: Final = re.compile(r"sw[a-px]")
_EMACS_OWNER: Final = re.compile(r"(?s).*@(?P<host>.*)\.(?P<pid>\d+)(:\d+)?")
_SLACK: Final = 5.0
"""Seconds by which the kernel's idea of when a process began may be off."""


@dataclass(frozen=True)
class Lock:
    """A lock beside a file."""

    path: Path
    editor: str
    alive: bool | None = None
    """Whether the process that made it lives; None: nobody here can tell."""


def locks_among(names: Iterable[str]) -> frozenset[str]:
    """Return those of these names that might be locks: to be asked once where there are fifty thousand names."""
    return frozenset(name for name in names if name[0] in ".#" or name.endswith("___"))


def lock_on(path: Path, siblings: AbstractSet[str]) -> Lock | None:
    """Find the lock of the editor that has this file open, or had when it died."""
    name = path.name
    for lock, editor in {
        f".#{name}": "emacs",
        f"#{name}#": "emacs",
        f".~lock.{name}#": "LibreOffice",
        f".{name}.kate-swp": "Kate",
        f"{name}___jb_tmp___": "a JetBrains editor",
    }.items():
        if lock in siblings:
            return Lock(path.with_name(lock), editor, _emacs_lives(path.with_name(lock)))
    swap = next((one for one in sorted(siblings) if _is_swap(one, name)), None)
    return _swap(path.with_name(swap)) if swap is not None else None


def _is_swap(lock: str, name: str) -> bool:
    return lock.startswith(f".{name}.") and _VIM.fullmatch(lock[len(name) + 2 :]) is not None


def _swap(path: Path) -> Lock:
    """Read the first block of a swap file, which vim and nano fill alike: `b0`, version, …, pid, user, host."""
    head = b""
    with suppress(OSError), os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        head = file.read(108)
    if len(head) < 108 or not head.startswith(b"b0"):
        return Lock(path, "an editor (vim or nano)")
    editor = "nano" if head[2:].startswith(b"nano") else "vim"
    host = head[68:108].partition(b"\0")[0].decode("utf-8", "replace")
    return Lock(path, editor, _lives(host, int.from_bytes(head[24:28], "little"), path))


def _emacs_lives(path: Path) -> bool | None:
    try:
        owner = _EMACS_OWNER.fullmatch(os.readlink(path))  # noqa: PTH115 - it leads nowhere
    except OSError:
        return None
    return _lives(owner["host"], int(owner["pid"]), path) if owner is not None else None


def _lives(host: str, pid: int, lock: Path) -> bool | None:
    if host not in (here := socket.gethostname(), here.partition(".")[0]) or not 0 < pid < 2**31:
        return None
    try:
        # The pid of a dead editor may belong to somebody else by now, who began only after the lock was made.
        return psutil.Process(pid).create_time() <= lock.lstat().st_mtime + _SLACK
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        return None
