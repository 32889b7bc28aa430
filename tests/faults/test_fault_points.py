"""Whatever goes wrong, at whatever step: nothing is lost, nothing runs twice, and it all comes to its end.

Every story is told once to learn the points that it passes, then once for each point and each fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from faulty import Point
from stories import STORIES
from telling import new_points, summary, tellers, with_fault

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

FAULTS = ("kill", "EIO", "ENOSPC", "EACCES")
FULL_DISK = "ENOSPC for a while"
READING = ("EIO", "EMFILE")
"""To die before reading is to die after what came before; and a full disk can be read."""


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with tellers() as pool:
        yield pool


@pytest.fixture(scope="module")
def points(pool: ProcessPoolExecutor) -> dict[str, list[Point]]:
    return new_points(pool)


def _faults_at(point: Point) -> tuple[str, ...]:
    if point.reads:
        return READING
    lasting = (FULL_DISK,) if point.step.endswith(("create", "rename", "fork")) else ()
    # Not where a late answer is put aside: that agent asks again after a stop, and the story knows of one answer.
    stops = point.step.endswith(("done", "fork", "watch", "SIGTERM")) and point.action != "TakeLate"
    stopping = ("stop",) if stops else ()
    return FAULTS + lasting + stopping


@pytest.mark.parametrize("story", [one.name for one in STORIES])
def test_whatever_goes_wrong_at_whatever_step(
    story: str,
    points: dict[str, list[Point]],
    pool: ProcessPoolExecutor,
    record_property: Callable[[str, object], None],
) -> None:
    cases = [(fault, str(point)) for point in points[story] for fault in _faults_at(point)]
    ends = [one.result() for one in [pool.submit(with_fault, story, *case) for case in cases]]
    broken = [one for one in ends if one.trouble]
    record_property("figure: fault points", len(points[story]))
    record_property("figure: faults at these", sum(one.reached for one in ends))
    assert not broken, summary(broken, of=len(ends))
    missed = [one.name for one in ends if not one.reached]
    assert len(missed) <= max(8, len(ends) // 20), f"never reached: {missed}"
