"""What it costs to notice, to take and to look: each as a ratio to the least that it could cost on this very machine.

Absolute times say more of the machine than of the program, so the yardstick is run side by side, right before.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from dropbox_runner.agent.agents import Agents
from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.run import Next, Why
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.states import State
from dropbox_runner.daemon.doorbell import Doorbell
from dropbox_runner.daemon.local import Local
from dropbox_runner.daemon.notify import Manager
from dropbox_runner.daemon.service import Service
from dropbox_runner.daemon.watcher import Watcher
from dropbox_runner.folder import durable, owner
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.store import Store
from dropbox_runner.views.statuspage import StatusPage

SAMPLES = 30


def new_folder(base: Path) -> Layout:
    """Make a paused inbox: nothing is ever started here."""
    layout = Layout.of(base / "inbox")
    Store(layout).make()
    owner.claim(layout, take_over=True)
    (layout.root / "PAUSE").touch()
    return layout


def service_of(layout: Layout, base: Path) -> Service:
    """Make the daemon's loop, to be turned by hand."""
    settings = Settings(claude="/bin/true")
    return Service(
        layout,
        settings,
        Local.at(base),
        Manager({}),
        agents=Agents(),
        read_settings=lambda: settings,
        watching=None,
        bell=Doorbell(),
        show=StatusPage(layout).update,
    )


def queue(layout: Layout, count: int) -> None:
    """Fill pending/."""
    for number in range(count):
        name = f"t{number:06}"
        record = Record(
            id=uuid.uuid4().hex,
            name=name,
            dropped=Dropped(file=f"{name}.yaml", sha256="0", mtime_ns=1),
            taken_at="2026-01-01T00:00:00+00:00",
            session_id=str(uuid.uuid4()),
            next=Next(why=Why.START),
        )
        folder = layout.task(State.PENDING, name)
        folder.mkdir()
        (folder / "record.json").write_bytes(record.to_json())
        (folder / "task.yaml").touch()
        os.utime(folder, (1e9, 1e9))


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return how long it takes."""
    before = clock()
    work()
    return clock() - before


def take(base: Path, count: int) -> None:
    """Taking files against the least that a durable move into a folder of its own needs."""
    layout = new_folder(base)
    plain = base / "plain"
    plain.mkdir()
    for number in range(count):
        (layout.root / f"t{number}.yaml").write_text(f"instructions: {number}\ndone: true\n")
        (base / f"t{number}.yaml").write_text(f"instructions: {number}\n")

    def move() -> None:
        for number in range(count):
            folder = plain / f"t{number}"
            durable.make_directory(folder)
            durable.write(folder / "record.json", b"{}")
            durable.move(base / f"t{number}.yaml", folder / "task.yaml")

    service = service_of(layout, base)

    def work() -> None:
        while service.tick()[1].actions:
            pass

    least, ours = timed(move), timed(work)
    taken = sum(1 for _ in layout.state(State.PENDING).iterdir())
    assert taken == count, f"{taken} of {count} were taken"
    print(f"take {count} files: {ours / least:.1f} x mkdir + write + move ({ours / count * 1000:.2f} ms each)")


def look(base: Path, sizes: list[int]) -> None:
    """A look at a queue that has not changed, against listing and stat of the same folders."""
    for size in sizes:
        place = base / f"look-{size}"
        place.mkdir()
        layout = new_folder(place)
        queue(layout, size)
        service = service_of(layout, place)
        first = timed(service.tick, time.process_time)

        def listed(layout: Layout = layout) -> None:
            with os.scandir(layout.state(State.PENDING)) as entries:
                for entry in entries:
                    entry.stat(follow_symlinks=False)

        pairs = [(timed(listed, time.process_time), timed(service.tick, time.process_time)) for _ in range(10)]
        least, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"look at {size} pending: {ours / max(least, 1e-6):.1f} x listing them "
            f"({ours * 1000:.1f} ms of CPU; the first one {first * 1000:.0f} ms)"
        )


@contextlib.contextmanager
def daemon(base: Path) -> Iterator[tuple[Layout, int]]:
    """Run a real daemon on a paused folder."""
    environment = os.environ | {"XDG_STATE_HOME": str(base / "state"), "XDG_CONFIG_HOME": str(base / "config")}
    command = [sys.executable, "-m", "dropbox_runner"]
    subprocess.run([*command, "init", str(base / "inbox")], env=environment, check=True, stdout=subprocess.DEVNULL)
    layout = Layout.of(base / "inbox")
    for sample in layout.root.glob("*.yaml"):
        sample.unlink()
    (layout.root / "PAUSE").touch()
    options = ["run", str(layout.root), "--allow-root", "--claude=/bin/true"]
    process = subprocess.Popen([*command, *options], env=environment, stderr=subprocess.DEVNULL)
    try:
        while not any((base / "state").rglob("notice.json")):
            time.sleep(0.05)
        time.sleep(3)
        yield layout, process.pid
    finally:
        process.terminate()
        process.wait()


def until(condition: Callable[[], bool]) -> None:
    """Wait, hardly sleeping."""
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.0005)


def latency(base: Path) -> None:
    """From the move of a file into the inbox to its folder in pending/, against one bare event."""
    bell, plain = Doorbell(), base / "plain"
    plain.mkdir()
    watcher = Watcher(bell)
    watcher.watch([plain])
    bell.wait(1)
    with daemon(base) as (layout, pid):
        bare: list[float] = []
        ours: list[float] = []
        for number in range(SAMPLES):
            for target, seconds in ((plain, bare), (layout.root, ours)):
                source = base / f"s{number}.yaml"
                source.write_text(f"instructions: {number}\n")
                before = time.perf_counter()
                source.rename(target / source.name)
                if target is plain:
                    bell.wait(5)
                else:
                    until((layout.task(State.PENDING, f"s{number}") / "task.yaml").exists)
                seconds.append(time.perf_counter() - before)
                time.sleep(0.02)
                bell.wait(0)
        event, taken = statistics.median(bare), statistics.median(ours)
        print(f"from drop to pending/: {taken / event:.0f} x a bare event ({taken * 1000:.1f} ms)")
        time.sleep(2)
        before = wakeups(pid)
        time.sleep(5)
        print(f"wake-ups in 5 s at rest: {wakeups(pid) - before}")
    watcher.close()


def wakeups(pid: int) -> int:
    """How often a thread of a process has waited and come back."""
    texts = [one.read_text() for one in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for text in texts)


def main() -> None:
    """Run them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers: whether it works, not what it costs")
    quick = parser.parse_args().quick
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as base:
        for name, work in {
            "take": lambda place: take(place, 100 if quick else 5000),
            "look": lambda place: look(place, [10, 100] if quick else [10, 1000, 10_000, 50_000]),
            "latency": latency,
        }.items():
            place = Path(base) / name
            place.mkdir()
            os.environ["XDG_STATE_HOME"] = str(place / "state")
            work(place)


if __name__ == "__main__":
    main()
