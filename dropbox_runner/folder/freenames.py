"""Names for new tasks that no other has, on any filesystem that the folder may be synced to."""

from __future__ import annotations

import itertools
import os
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from dropbox_runner.core.names import alike, numbered
from dropbox_runner.core.states import State
from dropbox_runner.folder.layout import Layout


@dataclass
class _Listed:
    """The names in a state's folder, as `alike` makes them, and when that was changed last."""

    changed: int
    names: set[str]


class Names:
    """Knows the names of all tasks, also of those that ended years ago."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._listed: dict[State, _Listed] = {}

    def free(self, wanted: str) -> str:
        """Return the first of `fix`, `fix-2`, `fix-3` … that is free.

        Not one that differs from another only in case either: synced to a Mac or to Windows, those two would collide.
        """
        known = [self._in(state) for state in State]
        names = (numbered(wanted, number) for number in itertools.count(1))
        return next(
            name
            for name in names
            if not any(alike(name) in one for one in known)
            # Listed names may be those of a moment ago where the filesystem's clock is coarse.
            and not any(os.path.lexists(self._layout.task(state, name)) for state in State)
        )

    def note(self, state: State, name: str) -> None:
        """Remember a name that we have made: a burst of thousands of drops would else list pending/ anew for each."""
        if (listed := self._listed.get(state)) is not None:
            listed.names.add(alike(name))
            listed.changed = self._layout.state(state).stat().st_mtime_ns

    def _in(self, state: State) -> AbstractSet[str]:
        path = self._layout.state(state)
        changed = path.stat().st_mtime_ns
        listed = self._listed.get(state)
        if listed is None or listed.changed != changed:
            listed = self._listed[state] = _Listed(changed, {alike(name) for name in os.listdir(path)})  # noqa: PTH208
        return listed.names
