"""What this user's programs have of the kernel's file events, and how much of it there is. For `doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LIMITS: Final = Path("/proc/sys/fs/inotify")


@dataclass(frozen=True)
class Usage:
    """Two limits that all programs of a user share: editors, sync tools, and this one."""

    instances: int
    max_instances: int
    watches: int
    max_watches: int


def usage() -> Usage:
    """Count what the processes hold that this user can look into."""
    counts = [sum(line.startswith("inotify ") for line in one.splitlines()) for one in _instances()]
    return Usage(len(counts), _limit("max_user_instances"), sum(counts), _limit("max_user_watches"))


def _limit(name: str) -> int:
    return int((_LIMITS / name).read_text())


def _instances() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                # Of programs that close it just now, and of other users' programs, nothing can be said.
                with suppress(OSError):
                    if str(descriptor.readlink()) == "anon_inode:inotify":
                        yield (process / "fdinfo" / descriptor.name).read_text()
