"""A dropped folder: whether the whole of it has arrived, and may be taken. Nothing in it is followed or read."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dropbox_runner.core.names import is_partial, printable
from dropbox_runner.core.settle import Fingerprint, still_open
from dropbox_runner.folder.locks import lock_on
from dropbox_runner.folder.probe import open_for_writing

MOST: Final = 10_000
"""Files and folders that one look goes through (some 40 ms); a tree with more would hold up all other tasks."""


@dataclass(frozen=True)
class Tree:
    """What a look at a dropped folder has seen."""

    fingerprint: Fingerprint
    """Changes with each file in it."""
    files: tuple[Path, ...] = ()
    refused: str = ""
    """Why it will not be taken until somebody changes it."""
    busy: str = ""
    """Who is still at it."""
    locked: str = ""
    """Which editor seems to have a file in it open: nobody can tell whether it lives."""


def survey(root: Path) -> Tree:
    """Look at all that lies in a folder. OSError when it cannot be listed."""
    seen: list[tuple[str, int, int, int]] = []
    files: list[Path] = []
    refused = busy = locked = ""
    for entries in _folders(root):
        names = {entry.name for entry in entries}
        for entry in entries:
            if len(seen) == MOST:
                few = "give them to the task as a place (`working_dir`, `context_files`) instead"
                return Tree(_fingerprint(root, seen), refused=f"it holds more than {MOST:,} files; {few}")
            shown = printable(os.path.relpath(entry.path, root))
            status = entry.stat(follow_symlinks=False)
            seen.append((entry.path, status.st_ino, status.st_size, status.st_mtime_ns))
            if stat.S_ISREG(status.st_mode):
                files.append(Path(entry.path))
                lock = lock_on(files[-1], names)
                if lock is not None and lock.alive:
                    busy = still_open(lock.editor, shown, known=True)
                elif lock is not None and lock.alive is None:
                    locked = still_open(lock.editor, shown, known=False)
                elif is_partial(entry.name):
                    busy = f"{shown} is still being brought"
            elif not stat.S_ISDIR(status.st_mode) and not entry.name.startswith(".#"):  # emacs' lock is a link
                refused = f"{shown} is {_kind(status.st_mode)}, and those are not taken; take it out of the folder"
    return Tree(_fingerprint(root, seen), tuple(files), refused, busy, locked)


def who_writes(tree: Tree) -> str:
    """Say which file in it a program has open for writing, if one has."""
    path = next(filter(open_for_writing, tree.files), None)
    return f"a program still has {printable(path.name)} open for writing" if path is not None else ""


def _folders(root: Path) -> Iterator[list[os.DirEntry[str]]]:
    waiting = [str(root)]
    while waiting:
        with os.scandir(waiting.pop()) as listed:
            # Sorted, so that the same tree looks the same; cut off, so that no folder is ever listed to its end.
            entries = sorted(itertools.islice(listed, MOST + 1), key=lambda entry: entry.name)
        waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        yield entries


def _fingerprint(root: Path, seen: list[tuple[str, int, int, int]]) -> Fingerprint:
    return Fingerprint(root.stat().st_ino, sum(size for _, _, size, _ in seen), hash(tuple(seen)))


def _kind(mode: int) -> str:
    return "a symbolic link" if stat.S_ISLNK(mode) else "a pipe, a socket or a device"
