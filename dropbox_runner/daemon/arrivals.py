"""Who is still writing: the memory between looks that is needed to judge whether a file is finished."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dropbox_runner.core.settle import (
    LEFT_OVER,
    REPLACED,
    Arrival,
    Fingerprint,
    Sighting,
    Surroundings,
    Wait,
    observe,
    waits_for,
)
from dropbox_runner.daemon.watcher import Hint
from dropbox_runner.folder import durable, probe
from dropbox_runner.folder.locks import lock_on
from dropbox_runner.folder.tree import survey, who_writes

_ARRIVING: Final = "waiting until nothing more of it has come for a while"

_Place = tuple[Path, str]
"""A folder and a name in it. Not one path: to make fifty thousand of those at every look takes long."""


@dataclass(frozen=True)
class _Known:
    sighting: Sighting
    plain: bool
    """Whether it is a regular file; any other will never be finished."""
    ends_explicitly: bool | None = None
    """None: nobody has had to know."""


class Arrivals:
    """Remembers every unfinished file for as long as it is there. Losing this memory costs one settle time."""

    def __init__(self) -> None:
        self._known: dict[_Place, _Known] = {}
        self._hints: dict[_Place, Arrival] = {}
        self._locks: dict[_Place, _Place] = {}
        """Locks of which nobody can tell whether their editor lives → the file that each is for."""
        self._open: dict[_Place, float] = {}
        """Files that an editor has open → since when its lock is missing; for ever in the future while it is there."""

    def note(self, hints: Iterable[Hint]) -> None:
        """Take in what the watcher has noticed; of several hints for one file the last one holds."""
        self._hints.update(((hint.folder, hint.name), hint.arrival) for hint in hints)

    def wait_for(
        self,
        folder: Path,
        name: str,
        siblings: AbstractSet[str],
        settle: float,
        now: float,
        has_end: Callable[[str, bytes], bool],
    ) -> Wait | None:
        """Say what is missing until this file is finished; None when it is."""
        path, place = folder / name, (folder, name)
        seen = probe.fingerprint(path)
        if seen is None:
            return Wait("it went away")
        before = self._known.get(place)
        sighting = self._sight(place, seen, now)
        known = before if before and before.sighting == sighting else _Known(sighting, probe.is_plain(path))
        self._known[place] = known
        if not known.plain:
            return None  # whoever reads it says what it is
        # What is cheap to know comes first: thousands of files may be waiting at a time, at every look.
        around = self._lock(place, siblings, sighting, now)
        wait = waits_for(sighting, around, settle, now)
        if wait is not None and self._ends(place, has_end):
            around = replace(around, ends_explicitly=True)
            wait = waits_for(sighting, around, settle, now)
        if (wait is None or seen.size == 0) and probe.open_for_writing(path):
            wait = waits_for(sighting, replace(around, open_for_writing=True), settle, now)
        return wait

    def wait_for_folder(self, root: Path, name: str, task_file: str, settle: float, now: float) -> Wait | None:
        """Say what is missing until a dropped folder, with this task file in it, is there to its last file.

        The end that a text may give itself says nothing of the files that are to lie beside it.
        """
        path = root / name
        try:
            tree, size = survey(path), (path / task_file).lstat().st_size
        except OSError as error:
            return Wait(f"it cannot be read: {error.strerror}", notable=True)
        sighting = self._sight((root, name), tree.fingerprint, now)
        if tree.refused or tree.busy:
            return Wait(tree.refused or tree.busy, notable=True)
        if tree.locked and now < sighting.since + LEFT_OVER:
            return Wait(tree.locked, sighting.since + LEFT_OVER, notable=True, again=now + settle)
        if size == 0:
            return Wait(f"{task_file} in it is empty; waiting for its content", notable=True)
        wait = waits_for(sighting, Surroundings(), settle, now)
        writer = who_writes(tree) if wait is None else ""
        return Wait(writer) if writer else wait

    def wait_for_tree(self, folder: Path, name: str, settle: float, now: float, *, whole: bool) -> Wait | None:
        """Say whether more may come of a task's folder that has not been moved there as a whole.

        A folder of which something lacks, or that lies in two places, may be on its way, however it came: the move
        that was noticed may be our own, and now a sync tool removes what it has moved on somewhere else.
        """
        before = self._known.get((folder, name))
        if whole and before is not None and before.sighting.arrival is Arrival.MOVED_IN:
            return None  # it came as a whole; what has changed in it since we have written ourselves
        try:
            sighting = self._sight((folder, name), survey(folder / name).fingerprint, now)
        except OSError:
            # A file in it was just renamed, or all of it has moved on.
            return Wait(_ARRIVING, now + settle) if (folder / name).is_dir() else None
        until = sighting.since + settle
        if (whole and sighting.arrival is Arrival.MOVED_IN) or now >= until:
            return None
        return Wait(_ARRIVING, until)

    def more_until(self, folder: Path, name: str, settle: float, now: float) -> float | None:
        """Say until when more may come of something that is no task as it is: folders are brought file by file."""
        seen = probe.fingerprint(folder / name)
        until = self._sight((folder, name), seen, now).since + settle if seen is not None else now
        return until if now < until else None

    def forget_all_but(self, places: AbstractSet[_Place]) -> None:
        """Drop what is known of files that are gone, and hints that nobody will ask for."""
        self._locks = {lock: place for lock, place in self._locks.items() if place in places}
        self._known = {place: known for place, known in self._known.items() if place in places or place in self._locks}
        self._hints = {place: hint for place, hint in self._hints.items() if place in places}
        self._open = {place: since for place, since in self._open.items() if place in places}

    def _sight(self, place: _Place, seen: Fingerprint, now: float) -> Sighting:
        before = self._known.get(place)
        sighting = observe(before.sighting if before else None, seen, self._hints.pop(place, None), now)
        if before is None or before.sighting != sighting:
            self._known[place] = _Known(sighting, plain=True)
        return sighting

    def _lock(self, place: _Place, siblings: AbstractSet[str], sighting: Sighting, now: float) -> Surroundings:
        lock = lock_on(Path(*place), siblings)
        if lock is None:
            return Surroundings(closing_until=self._closing(place, now))
        seen = probe.fingerprint(lock.path)
        until = None
        if lock.alive is None and seen is not None:
            of_lock = (place[0], lock.path.name)
            self._locks[of_lock] = place
            until = max(self._sight(of_lock, seen, now).since, sighting.since) + LEFT_OVER
        if lock.alive is False or (until is not None and now >= until):
            return Surroundings(left_over=f"{lock.path.name} of {lock.editor}")
        self._open[place] = math.inf
        return Surroundings(editor=lock.editor, editor_known=bool(lock.alive), editor_until=until)

    def _closing(self, place: _Place, now: float) -> float | None:
        if place not in self._open:
            return None
        self._open[place] = since = min(self._open[place], now)
        if now < since + REPLACED:
            return since + REPLACED
        del self._open[place]
        return None

    def _ends(self, place: _Place, has_end: Callable[[str, bytes], bool]) -> bool:
        known = self._known[place]
        if known.ends_explicitly is None:
            known = self._known[place] = replace(known, ends_explicitly=_says_so(Path(*place), has_end))
        return bool(known.ends_explicitly)


def _says_so(path: Path, has_end: Callable[[str, bytes], bool]) -> bool:
    try:
        data = durable.read(path)
    except (OSError, durable.UnreadableError):
        return False
    # Most texts do not, which is seen without taking them apart. (In UTF-16, each second byte of such an end is NUL.)
    return (data.rstrip(b" \t\r\n\0").endswith(b".") or b"done" in data.lower()) and has_end(path.name, data)
