"""Fifty thousand files at once: each is taken exactly once, and meanwhile the daemon does what else it is asked for."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from harness import STATES, World, alive, wait_until

MANY = 50_000
PATIENCE = 120.0
"""Seconds. On a quiet machine each takes one or two; nothing is measured with it."""
MOST_MEMORY = 600 * 1024 * 1024
"""Bytes. Each queued task is known with its record."""


@pytest.fixture
def in_memory(template: World, *, watcher: bool) -> Iterator[World]:
    """A world on a disk whose fsync costs nothing: seven for each task would test the disk, for minutes."""
    base = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    world = World(base, watcher=watcher)
    world.copy_of(template)
    yield world
    world.end()
    errors = world.errors()
    shutil.rmtree(base)
    assert not errors


def move_all_in(world: World, count: int) -> None:
    outside = world.base / "outside"
    outside.mkdir()
    for number in range(count):
        (outside / f"many-{number}.yaml").write_text(f"instructions: nothing, {number}\nnot_before: 2199-01-01\n")
    for path in outside.iterdir():
        path.rename(world.root / path.name)


def folders(world: World) -> list[Path]:
    return [path for state in STATES for path in (world.root / state).iterdir() if path.name.startswith("many-")]


def taken(world: World) -> int:
    return len(os.listdir(world.root / "pending"))  # noqa: PTH208 - a Path for each of fifty thousand takes long


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_thousands_of_files_are_taken_once_each_and_hold_nothing_up(in_memory: World) -> None:
    world = in_memory
    world.play(rules={"asks": [[{"ask": {"text": "Well?"}}], [{"say": "Done."}]], "long": [[{"sleep": 3600}]]})
    daemon = world.start("--max-parallel", "3")
    world.move_in("a-asks.yaml", "instructions: asks\n")
    world.move_in("a-long.yaml", "instructions: long\n")
    world.wait_for("a-asks", "blocked")
    agent = world.agent_pid("a-long")

    move_all_in(world, MANY)
    wait_until(lambda: taken(world) > 200, "nothing is taken", PATIENCE)
    began = time.monotonic()
    world.answer("a-asks", "Yes.\n")
    wait_until(lambda: world.where("a-asks") == "done", lambda: f"an answer waits:\n{world.story('a-asks')}", PATIENCE)
    answered = time.monotonic()
    (world.path("a-long") / "cancel").touch()
    wait_until(lambda: not alive(agent), lambda: f"a cancel waits:\n{world.story('a-long')}", PATIENCE)
    cancelled = time.monotonic()
    world.move_in("zz-urgent.yaml", "instructions: urgent\npriority: high\n")
    assert taken(world) < MANY, "the test itself: there was nothing to be held up by"
    page = (world.root / "STATUS.md").read_text()
    assert "more" in page
    assert len(page) < 20_000
    daemon.process.terminate()
    assert daemon.process.wait(PATIENCE) == 0
    stopped = time.monotonic()
    half = taken(world)
    assert half < MANY

    daemon = world.start()
    started = time.monotonic()
    wait_until(lambda: taken(world) >= MANY, lambda: f"{taken(world)} were taken:\n{daemon.log}", 1500, every=1)
    print(  # noqa: T201 - figures for whoever runs it with -s
        f"answer {answered - began:.1f} s, cancel {cancelled - answered:.1f} s, stop {stopped - cancelled:.1f} s; "
        f"{MANY - half} taken in {time.monotonic() - started:.0f} s, "
        f"{psutil.Process(daemon.pid).memory_info().rss >> 20} MB"
    )
    wait_until(lambda: world.where("zz-urgent") == "done", "what is urgent waits", PATIENCE)
    files = [json.loads((path / "record.json").read_bytes())["dropped"]["file"] for path in folders(world)]
    assert sorted(files) == sorted(f"many-{number}.yaml" for number in range(MANY))
    with sqlite3.connect(next((world.home / "state").rglob("ledger.sqlite"))) as ledger:
        assert ledger.execute("SELECT COUNT(DISTINCT file), COUNT(*) FROM taken").fetchone() == (MANY + 3, MANY + 3)
    assert psutil.Process(daemon.pid).memory_info().rss < MOST_MEMORY
    daemon.kill()
