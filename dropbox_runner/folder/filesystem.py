"""On what kind of filesystem a folder lies, and whether the kernel tells of every change in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_OVER_A_NETWORK: Final = "nfs nfs4 cifs smb3 smbfs ncpfs afs ceph coda lustre beegfs orangefs"
_OF_THE_HOST: Final = "9p virtiofs vboxsf vmhgfs prl_fs prl_tg fakeowner drvfs"
"""What a virtual machine, a container of Docker Desktop or WSL is shown of the machine that it runs on."""
_ON_ONE_DISK: Final = "gfs2 ocfs2"
_SHARED: Final = frozenset(f"{_OVER_A_NETWORK} {_OF_THE_HOST} {_ON_ONE_DISK}".split())
"""The kernel reports what is done through it on this machine (inotify(7)). What another machine does to a folder
there, or somebody behind the mount, causes no event."""


@dataclass(frozen=True)
class Filesystem:
    """A mounted filesystem."""

    kind: str
    """As in /proc/self/mountinfo: ext4, nfs4, fuse.sshfs …"""
    mounted_at: str

    @property
    def tells_all(self) -> bool:
        """Whether an event comes for every change. A FUSE program has no means to say that something has changed.

        Except on a disk of this machine (`fuseblk`: NTFS, exFAT), where nobody but us changes anything.
        """
        return self.kind not in _SHARED and self.kind != "fuse" and not self.kind.startswith("fuse.")


def filesystem_of(path: Path) -> Filesystem:
    """Return what a folder, whose path holds no symbolic link, lies on; kind "unknown" where nobody can tell."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return Filesystem("unknown", "/")
    return find_mount(mounts, path)


def find_mount(mounts: str, path: Path) -> Filesystem:
    """Find a path's filesystem in the text of a mountinfo (proc_pid_mountinfo(5))."""
    found = Filesystem("unknown", "/")
    for line in mounts.splitlines():
        where, _, what = line.partition(" - ")
        mounted_at = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), where.split(" ")[4])
        # Of two at one place, the later one hides the earlier.
        if path.is_relative_to(mounted_at) and len(mounted_at) >= len(found.mounted_at):
            found = Filesystem(what.split(" ")[0], mounted_at)
    return found
