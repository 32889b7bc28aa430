"""A power cut keeps what was synced and any part of the rest: recovery must go on from every such state of the disk.

While a story is told, the whole inbox is copied at each step of each effect. From each copy those states are made that
a filesystem may show after a power cut at that moment (as measured on ext4, xfs and btrfs), and from each of them a
daemon is started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from crashes import after_power_cut, states_of
from faulty import Point
from stories import STORIES
from telling import new_points, summary, tellers

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with tellers() as pool:
        yield pool


@pytest.fixture(scope="module")
def points(pool: ProcessPoolExecutor) -> dict[str, list[Point]]:
    return new_points(pool)


@pytest.mark.parametrize("story", [one.name for one in STORIES])
def test_from_every_state_of_the_disk_it_is_gone_on_with(
    story: str,
    points: dict[str, list[Point]],
    pool: ProcessPoolExecutor,
    record_property: Callable[[str, object], None],
) -> None:
    with states_of(story, points[story], pool) as states:
        ends = [one.result() for one in [pool.submit(after_power_cut, story, state) for state in states]]
    broken = [one for one in ends if one.trouble]
    record_property("figure: crash states", len(ends))
    assert not broken, summary(broken, of=len(ends))
