"""Whose files are read at all. A dropped file runs as this user, so only this user may be able to have written it.

The precedents are sshd's StrictModes and cron: the owner and the modes of the file, of its folder, and of every folder
above it.
"""

from __future__ import annotations

import functools
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dropbox_runner.core.errors import RefusedError
from dropbox_runner.core.states import State
from dropbox_runner.folder.layout import Layout


def distrust(seen: os.stat_result, folder: os.stat_result) -> str | None:
    """Say why a file is not to be read, by who can have written it; None when only we (or root) can.

    Where its folder is open to a group, which only a setting allows (see `check_folder`), that group's files are ours.
    """
    shared = bool(folder.st_mode & stat.S_IWGRP) and seen.st_gid == folder.st_gid
    if seen.st_uid not in (os.geteuid(), 0) and not shared:
        return f"it belongs to {_user(seen.st_uid)}"
    if seen.st_mode & stat.S_IWOTH:
        return "everybody may write it (chmod o-w)"
    if seen.st_mode & stat.S_IWGRP and not shared and not _is_own_group(seen.st_gid):
        return f"the group {_group(seen.st_gid)} may write it (chmod g-w)"
    return None


MEND: Final = "Put a folder of its own in its place."


def links_among(layout: Layout) -> Iterator[Path]:
    """Yield those of our own folders that somebody has replaced by a link: a sync tool can bring one."""
    return (path for path in (layout.hidden, *map(layout.state, State)) if path.is_symlink())


def check_folder(layout: Layout, trusted_group: str | None) -> None:
    """RefusedError when somebody else could put a file into the folder, or another folder in its place."""
    trusted = _gid(trusted_group) if trusted_group is not None else None
    for path in links_among(layout):
        raise RefusedError(
            f"{path} is a symbolic link, and whatever lies where it leads would be taken for tasks. {MEND}"
        )
    for path in (layout.root, layout.hidden, *map(layout.state, State)):
        if path.exists():
            _check(path, path.stat(), trusted, ours=True)
    _check_above(layout.root, trusted)


def check_place(file: Path, trusted_group: str | None) -> None:
    """RefusedError when somebody else could put another file in the place of this one, or take it away.

    Without its settings a daemon would allow more than was meant.
    """
    _check_above(file.absolute(), _gid(trusted_group) if trusted_group is not None else None)


def _check_above(path: Path, trusted: int | None) -> None:
    for above in path.parents:
        _check(above, above.stat(), trusted, ours=False)


def _check(path: Path, seen: os.stat_result, trusted: int | None, *, ours: bool) -> None:
    if seen.st_uid not in (os.geteuid(), 0):
        raise RefusedError(
            f"{path} belongs to {_user(seen.st_uid)}, who could have code run as you. "
            f"Mend it with: chown {_user(os.geteuid())} {path}"
        )
    if not ours and seen.st_mode & stat.S_ISVTX:
        return  # as /tmp: everybody may make files there, but nobody rename or remove another's
    if seen.st_mode & stat.S_IWOTH:
        raise RefusedError(
            f"everybody may write into {path}, and whoever does runs code as you. Mend it with: chmod o-w {path}"
        )
    if seen.st_mode & stat.S_IWGRP and seen.st_gid != trusted and not _is_own_group(seen.st_gid):
        group = _group(seen.st_gid)
        raise RefusedError(
            f"the group {group} may write into {path}, and whoever does runs code as you. Mend it with: "
            f"chmod g-w {path}, or, if all its members may: `trusted_group: {group}` in the settings"
        )


def _gid(name: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except (KeyError, ValueError) as error:
        raise RefusedError(f"the settings trust a group that there is not: `trusted_group: {name}`") from error


@functools.cache
def _is_own_group(gid: int) -> bool:
    """Say whether it is a group with nobody but us in it, as many systems make one for each user (umask 002)."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
