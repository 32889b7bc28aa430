"""The one door for everything that must survive a power cut.

Write: temp file beside, fsync, rename, fsync the directory. Move: rename, fsync both parents, and only then any side
effect. (Measured on ext4, xfs and btrfs: without the file's fsync a crash leaves an empty file under the final name;
without both parents' fsync btrfs shows a moved file in both places.)
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.trace import step
from dropbox_runner.folder.trust import distrust

_HALF: Final = ".dropbox-runner.tmp"
"""Unmistakable, because it is cleared away: `.syncthing.plan.2024.tmp` belongs to somebody else."""
_HALF_OF: Final = re.compile(r"\..+\.(?P<pid>\d+)" + re.escape(_HALF))
MAX_READ: Final = 16 * 1024 * 1024
"""Bytes; more than this is never a text that somebody wrote."""


class UnreadableError(RunnerError):
    """Something under a name that we want to read is not a plain, readable, reasonably small file."""

    def __init__(self, name: str, reason: str, advice: str = "", *, passing: bool = False, again: bool = False) -> None:
        super().__init__(f"{name} {reason}")
        self.reason = reason
        self.advice = advice
        self.passing = passing
        """Whether the system refused it (no permission, a bad disk): the file itself may be as it must be."""
        self.again = again
        """Whether the same may go well the next time; not for want of permission, then nothing will change."""


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put a whole file in place, or leave what was there. Replaces a file of ours; never use it on a person's.

    After an error it may be done all over again: what was written is thrown away, because the second fsync of a file
    whose first one failed says that all is well when nothing is (the kernel forgets what it could not write).
    """
    _put(path, data, mode, durably=True)
    step("write: sync folder", path)
    sync_directory(path.parent)
    step("write: done", path)


def replace_soon(path: Path, data: bytes) -> None:
    """Put a whole file in place without waiting for the disk: for what only describes this moment."""
    _put(path, data, 0o600, durably=False)


def _put(path: Path, data: bytes, mode: int, *, durably: bool) -> None:
    temp = path.with_name(f".{path.name}.{os.getpid()}{_HALF}")
    # Made, never found: a left-over of a crash with this name is somebody else's half, so it goes first.
    with contextlib.suppress(FileNotFoundError):
        temp.unlink()
    try:
        step("write: create", path)
        descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            step("write: fill", path)
            _write_all(file, data)
            if durably:
                step("write: sync", path)
                os.fsync(descriptor)
        step("write: rename", path)
        temp.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink()
        raise


def _write_all(file: io.RawIOBase, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def halves(names: Iterable[str]) -> Iterator[str]:
    """Return those of these names that are temp files of ours whose writer has died."""
    for name in names:
        writer = _HALF_OF.fullmatch(name)
        if writer is not None and not Path("/proc", writer["pid"]).exists():
            yield name


def remove_halves(folder: Path) -> None:
    """Remove the temp files of ours in a folder whose writer has died."""
    for name in halves(path.name for path in folder.glob(".*")):
        remove(folder / name)


def is_half_of(name: str, whole: str) -> bool:
    """Say whether a name is that of a temp file of ours, left over by a crash."""
    return name.startswith(f".{whole}.") and name.endswith(_HALF)


def move(source: Path, target: Path) -> None:
    """Move a file or a folder to a name that is free. FileExistsError when it is not: nothing is ever replaced."""
    if os.path.lexists(target):
        # rename(2) replaces an existing file, or an empty folder, without a word.
        raise FileExistsError(f"{target} is there already")
    step("move: rename", source)
    source.rename(target)
    step("move: sync target", target)
    sync_directory(target.parent)
    if source.parent != target.parent:
        step("move: sync source", target)
        sync_directory(source.parent)
    step("move: done", target)


def make_directory(path: Path) -> None:
    """Make a folder that only we can read, unless it is there, durably."""
    with contextlib.suppress(FileExistsError):
        step("folder: make", path)
        path.mkdir(mode=0o700)
    # Also of one that is there: whoever made it may have died, or been refused, before this.
    step("folder: sync", path)
    sync_directory(path.parent)
    step("folder: done", path)


def remove(path: Path) -> None:
    """Remove a file of ours, if it is there."""
    step("remove: unlink", path)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        step("remove: sync", path)
        sync_directory(path.parent)
        step("remove: done", path)


def remove_directory(path: Path) -> None:
    """Remove an empty folder of ours."""
    step("folder: remove", path)
    path.rmdir()
    step("folder: removed", path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path, limit: int = MAX_READ) -> bytes:
    """Read a file that anybody may have put there: as `opened`, and at most `limit` bytes."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        # Not even read when it is known to be too large; and it may still grow while it is read.
        data = file.read(limit + 1) if size <= limit else b""
    if max(len(data), size) > limit:
        advice = "put what is long into files of its own, and name them in this one"
        raise UnreadableError(path.name, f"is larger than {limit:,} bytes", advice)
    return data


def opened(path: Path) -> BinaryIO:
    """Open a file that anybody may have put there, for reading: no links, no pipes or devices, only ours.

    FileNotFoundError when there is none; UnreadableError, with the reason, when it is not a plain file that only we can
    have written.
    """
    try:
        # Opened without following a link and without blocking on a pipe; checked on the open descriptor, so that
        # what is checked is what is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise UnreadableError(path.name, "is not a plain file") from error  # a socket, or a device without a driver
        link = error.errno == errno.ELOOP
        reason = "it is a symbolic link" if link else (error.strerror or str(error))
        again = not link and not isinstance(error, PermissionError)
        advice = "put the file itself here, and not a link to it" if link else ""
        message = f"cannot be read: {reason}"
        raise UnreadableError(path.name, message, advice, passing=not link, again=again) from error
    seen = os.fstat(descriptor)
    plain = stat.S_ISREG(seen.st_mode)
    why = distrust(seen, path.parent.stat()) if plain else None
    if not plain or why:
        os.close(descriptor)
        raise UnreadableError(path.name, f"is not read: {why}" if plain else "is not a plain file", passing=plain)
    return os.fdopen(descriptor, "rb")
