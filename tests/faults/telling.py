"""One story told in a process of its own, by a pool that never has more than one thread where a daemon is forked."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from faulty import START, Fault, Listener, Point
from inboxes import Inbox
from stories import STORIES

_AT_A_TIME = 6
"""Stories mostly wait."""


@contextmanager
def tellers() -> Iterator[ProcessPoolExecutor]:
    """Give processes that have loaded the program and tell stories."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dropbox_runner.cli.run", "dropbox_runner.cli.app", "typer.testing"])
    with ProcessPoolExecutor(_AT_A_TIME, mp_context=context) as pool:
        yield pool


@dataclass(frozen=True)
class Told:
    """How it went."""

    name: str
    trouble: str = ""
    reached: bool = True


def summary(broken: list[Told], of: int) -> str:
    """Name everything that did not hold, and tell the first few in full."""
    names = "\n".join(one.name for one in broken)
    return f"{len(broken)} of {of}:\n{names}\n\n" + "\n\n".join(f"{one.name}\n{one.trouble}" for one in broken[:5])


@dataclass(frozen=True)
class _Recorder:
    file: Path

    def __call__(self, point: Point) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps(asdict(point)) + "\n")


def points_of(story: str) -> tuple[Point, ...]:
    """Tell a story without a fault, and return every point on its way."""
    with inbox_of(story) as inbox:
        file = inbox.base / "points"
        _tell(inbox, _Recorder(file))
        points = tuple(Point(**json.loads(line)) for line in file.read_text().splitlines())
    return tuple(one for one in points if inbox.scenario.from_the_start or one.action != START)


def new_points(pool: ProcessPoolExecutor) -> dict[str, list[Point]]:
    """Return the points of each story that no story before it has passed on the same way."""
    told = pool.map(points_of, [one.name for one in STORIES])
    seen: set[tuple[object, ...]] = set()
    return {story.name: list(_new(points, seen)) for story, points in zip(STORIES, told, strict=True)}


def _new(points: Iterable[Point], seen: set[tuple[object, ...]]) -> Iterator[Point]:
    """Two points are the same when their action has made the same steps to get there; each look stands for itself."""
    way: tuple[object, ...] = ()
    for point in points:
        here = (point.action, point.task)
        way = way if way[:1] == (here,) and point.action != "Look" else (here,)
        way = (*way, point.step, re.sub(r"\d+", "N", point.path))
        if way not in seen:
            seen.add(way)
            yield point


def with_fault(story: str, kind: str, point: str) -> Told:
    """Tell a story with a fault at one point, and say what did not hold in the end."""
    with inbox_of(story) as inbox:
        fault = Fault(kind, point, inbox.mark)
        return outcome_of(inbox, f"{story}: {kind} at {point}", lambda inbox: _tell(inbox, fault))


def outcome_of(inbox: Inbox, name: str, tell: Callable[[Inbox], None]) -> Told:
    """Tell a story, and say how it went."""
    try:
        tell(inbox)
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this case
        where = "" if isinstance(error, AssertionError) else traceback.format_exc()
        return Told(name, f"{error}\n{where}{inbox.story()}", inbox.mark.exists())
    return Told(name, "", inbox.mark.exists())


def _tell(inbox: Inbox, listener: Listener) -> None:
    inbox.make()
    inbox.tell(listener)


@contextmanager
def inbox_of(story: str) -> Iterator[Inbox]:
    """Give a place for one story, and remove it afterwards."""
    scenario = next(one for one in STORIES if one.name == story)
    base = Path(tempfile.mkdtemp(prefix="dropbox-runner-", dir=FAST))
    try:
        yield Inbox(base, scenario)
    finally:
        shutil.rmtree(base, ignore_errors=True)


FAST = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
"""Nothing here asks whether the disk keeps its word."""
