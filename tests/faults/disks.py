"""Small filesystems of several kinds in files, which can be cut off from their power. Needs root."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIZE = 512 << 20
"""Sparse: only what is written takes room."""
_CLONE = 0x40049409
"""FICLONE: the whole file at one moment, as a power cut would leave it."""
ONE_AT_A_TIME = "btrfs"
"""Older kernels take two clones for one and the same filesystem."""
KINDS = {"ext4": ("-q", "-F", "-m0"), "xfs": ("-q", "-f"), "btrfs": ("-q", "-f")}
_OPTIONS = {"xfs": ",nouuid"}


def why_not() -> str:
    """Say what this machine lacks for it."""
    if os.geteuid() != 0:
        return "only root may mount"
    missing = [f"mkfs.{kind}" for kind in KINDS if shutil.which(f"mkfs.{kind}") is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if Path("/dev/loop-control").exists() else "no loop devices"


def make(image: Path, kind: str, size: int = _SIZE) -> None:
    """Make an empty filesystem in a file."""
    with image.open("wb") as file:
        file.truncate(size)
    _run(f"mkfs.{kind}", *KINDS[kind], str(image))


def clone(image: Path, target: Path) -> None:
    """Take what the filesystem has given to its disk by now; what it still holds back is lost."""
    with image.open("rb") as source, target.open("wb") as file:
        fcntl.ioctl(file.fileno(), _CLONE, source.fileno())


@contextmanager
def mounted(image: Path, place: Path, kind: str) -> Iterator[Path]:
    """Mount a filesystem, replaying its journal."""
    place.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", kind, "-o", f"loop{_OPTIONS.get(kind, '')}", str(image), str(place))
    try:
        yield place
    finally:
        if subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode:
            _run("umount", "--lazy", str(place))


@contextmanager
def disks(folder: Path) -> Iterator[Path]:
    """Give a folder in which files can be cloned."""
    make(folder / "disks.img", "xfs", 16 * _SIZE)
    with mounted(folder / "disks.img", folder / "disks", "xfs") as place:
        yield place


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
