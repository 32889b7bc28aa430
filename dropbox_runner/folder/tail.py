"""The end of a log, without reading the whole of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dropbox_runner.core.stream import has_ended
from dropbox_runner.folder import durable

_STEP: Final = 1 << 20
_MOST: Final = 128
"""Steps of one line; what goes on for longer is nothing of claude's, and must not come into memory."""


def ends_in_result(log: Path) -> bool:
    """Say whether a stream has come to its result, and nothing has been begun since."""
    return has_ended(_lines_from_the_end(log))


def _lines_from_the_end(log: Path) -> Iterator[bytes]:
    with durable.opened(log) as file:
        end = file.seek(0, os.SEEK_END)
        parts: list[bytes] = []
        """Of the line that is being collected, the last one first: joined once, as it may have 50 megabytes."""
        while end > 0 and len(parts) < _MOST:
            start = max(0, end - _STEP)
            file.seek(start)
            first, *others = file.read(end - start).split(b"\n")
            end = start
            for line in reversed(others):
                yield b"".join(reversed([*parts, line]))
                parts = []
            parts.append(first)
        if end == 0:
            yield b"".join(reversed(parts))
