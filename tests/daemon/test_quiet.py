"""What the daemon costs while nothing is to be done: nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from harness import Daemon, World, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.watcher]
"""Whoever only looks now and then wakes up for it."""

LINES = 20_000


def at_rest(daemon: Daemon) -> None:
    """Wait until the daemon has not woken up for a while."""

    def quiet() -> bool:
        before = daemon.wakeups()
        end = time.monotonic() + 0.3
        wait_until(lambda: time.monotonic() > end, "")
        return daemon.wakeups() == before

    wait_until(quiet, "the daemon never comes to rest")


def test_an_idle_daemon_does_not_wake_up(world: World) -> None:
    world.play([{"ask": {"text": "Well?"}}])
    daemon = world.start()
    world.move_in("x.yaml")
    world.wait_for("x", "blocked")
    at_rest(daemon)
    ticks, wakeups = daemon.cpu_ticks(), daemon.wakeups()
    end = time.monotonic() + 1.0
    wait_until(lambda: time.monotonic() > end, "")
    assert daemon.wakeups() - wakeups == 0
    assert daemon.cpu_ticks() == ticks


@pytest.mark.timeout(60)
def test_while_an_agent_writes_its_log_the_daemon_does_not_wake_up(world: World, tmp_path: Path) -> None:
    begin, written, end = (tmp_path / name for name in ("begin", "written", "end"))
    # The log of the run itself, opened once and written line by line, as claude does. (It stays open until the end:
    # closing it is an event.)
    script = (
        "import os, sys, pathlib, time\n"
        "log = open(f'/proc/{os.getppid()}/fd/1', 'ab', buffering=0)\n"
        f"while not pathlib.Path({str(begin)!r}).exists(): time.sleep(0.01)\n"
        f'for number in range({LINES}): log.write(b\'{{"type":"user","n":%d}}\\n\' % number)\n'
        f"pathlib.Path({str(written)!r}).touch()\n"
        f"while not pathlib.Path({str(end)!r}).exists(): time.sleep(0.01)\n"
    )
    writer = tmp_path / "writer.py"
    writer.write_text(script)
    world.play([{"bash": f"exec python3 {writer}"}, {"say": "Done."}])
    daemon = world.start()
    world.move_in("x.yaml")
    folder = world.wait_for("x", "running")
    world.agent_pid("x")
    at_rest(daemon)
    ticks, wakeups = daemon.cpu_ticks(), daemon.wakeups()
    begin.touch()
    wait_until(written.exists, lambda: f"the agent never finished writing:\n{world.story('x')}")
    woken, used = daemon.wakeups() - wakeups, daemon.cpu_ticks() - ticks
    assert (folder / "run-1.jsonl").read_bytes().count(b"\n") > LINES, "the test itself did not write"
    assert woken <= 2
    assert used <= 1
    end.touch()
    world.wait_for("x", "done")
