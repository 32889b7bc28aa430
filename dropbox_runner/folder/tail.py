"""The end of a log, without reading the whole of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dropbox_runner.core.stream import read_stream
from dropbox_runner.folder import durable

_STEP: Final = 65536


def ends_in_result(log: Path) -> bool:
    """Say whether the last line of a stream is a complete result line."""
    with durable.opened(log) as file:
        end = file.seek(0, os.SEEK_END)
        tail = b""
        while end > 0:
            start = max(0, end - _STEP)
            file.seek(start)
            tail = file.read(end - start) + tail
            end = start
            if b"\n" in tail[:-1]:
                break
    return read_stream([tail.removesuffix(b"\n").rpartition(b"\n")[2]]).result is not None
