"""An inbox where people keep theirs: not under /tmp, where vim and emacs save in other ways than elsewhere."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import World
from user import needs


@pytest.fixture(autouse=True)
def programs(request: pytest.FixtureRequest) -> None:
    """Skip where a program is missing that the test's `tools` mark names."""
    needs(*(name for mark in request.node.iter_markers("tools") for name in mark.args))


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder on a disk."""
    path = Path(tempfile.mkdtemp(prefix="dropbox-runner-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def inbox(home: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """An inbox with its daemon, for all tests of a module; a module sets SETTLE, or gets what is shipped."""
    world = World(home)
    world.make()
    settle = getattr(request.module, "SETTLE", None)
    world.start("--max-parallel", "8", settle=str(settle) if settle else None)
    yield world
    world.end()
    assert not world.errors(), f"the daemon broke down:\n{world.errors()}"
