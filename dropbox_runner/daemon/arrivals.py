"""Who is still writing: the memory between looks that is needed to judge whether a file is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from dropbox_runner.core.settle import Arrival, Sighting, Surroundings, Wait, observe, waits_for
from dropbox_runner.daemon.watcher import Hint
from dropbox_runner.folder import durable, probe


@dataclass(frozen=True)
class _Known:
    sighting: Sighting
    ends_explicitly: bool


class Arrivals:
    """Remembers every unfinished file for as long as it is there. Losing this memory costs one settle time."""

    def __init__(self) -> None:
        self._known: dict[Path, _Known] = {}
        self._hints: dict[Path, Arrival] = {}

    def note(self, hints: Iterable[Hint]) -> None:
        """Take in what the watcher has noticed; of several hints for one file the last one holds."""
        self._hints.update((hint.path, hint.arrival) for hint in hints)

    def wait_for(
        self, path: Path, siblings: AbstractSet[str], settle: float, now: float, has_end: Callable[[str, bytes], bool]
    ) -> Wait | None:
        """Say what is missing until this file is finished; None when it is."""
        seen = probe.fingerprint(path)
        if seen is None:
            return Wait("it went away")
        if not probe.is_plain(path):
            return None  # it will never be finished; whoever reads it says what it is
        if probe.has_other_names(path):
            return Wait("it is a hard link, which can be changed under another name; drop a copy of it", notable=True)
        before = self._known.get(path)
        sighting = observe(before.sighting if before else None, seen, self._hints.pop(path, None), now)
        ended = before.ends_explicitly if before and before.sighting == sighting else _ends(path, has_end)
        self._known[path] = _Known(sighting, ended)
        around = Surroundings(probe.open_for_writing(path), probe.editor_of(path.name, siblings), ended)
        return waits_for(sighting, around, settle, now)

    def forget_all_but(self, paths: AbstractSet[Path]) -> None:
        """Drop what is known of files that are gone, and hints that nobody asked for."""
        self._known = {path: known for path, known in self._known.items() if path in paths}
        self._hints.clear()


def _ends(path: Path, has_end: Callable[[str, bytes], bool]) -> bool:
    try:
        return has_end(path.name, durable.read(path))
    except (OSError, durable.UnreadableError):
        return False
