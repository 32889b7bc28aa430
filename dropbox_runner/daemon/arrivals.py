"""Who is still writing: the memory between looks that is needed to judge whether a file is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from dropbox_runner.core.settle import Arrival, Sighting, Surroundings, Wait, observe, waits_for
from dropbox_runner.daemon.watcher import Hint
from dropbox_runner.folder import durable, probe

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
        sighting = observe(before.sighting if before else None, seen, self._hints.pop(place, None), now)
        known = before if before and before.sighting == sighting else _Known(sighting, probe.is_plain(path))
        self._known[place] = known
        if not known.plain:
            return None  # whoever reads it says what it is
        # What is cheap to know comes first: thousands of files may be waiting at a time, at every look.
        around = Surroundings(editor=probe.editor_of(name, siblings))
        wait = waits_for(sighting, around, settle, now)
        if wait is not None and self._ends(place, has_end):
            around = replace(around, ends_explicitly=True)
            wait = waits_for(sighting, around, settle, now)
        if wait is None and probe.open_for_writing(path):
            wait = waits_for(sighting, replace(around, open_for_writing=True), settle, now)
        if wait is None and probe.has_other_names(path):
            wait = Wait("it is a hard link, which can be changed under another name; drop a copy of it", notable=True)
        return wait

    def forget_all_but(self, places: AbstractSet[_Place]) -> None:
        """Drop what is known of files that are gone, and hints that nobody will ask for."""
        self._known = {place: known for place, known in self._known.items() if place in places}
        self._hints = {place: hint for place, hint in self._hints.items() if place in places}

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
    # Most texts do not, which is seen without taking them apart.
    return (data.rstrip().endswith(b".") or b"done" in data.lower()) and has_end(path.name, data)
