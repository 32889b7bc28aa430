"""All of tests/corpus at once, among good tasks: those finish, the rest is refused in words, the daemon stays slim."""

from __future__ import annotations

import json

import psutil
import pytest
from corpus_cases import cases
from harness import World, wait_until

GOOD = 10
LONG = 120.0
"""Seconds; some hundred files, each made durable several times."""
MUCH = 60 << 20
"""Bytes. One file of a megabyte that was kept for each of the floods would be as much."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whatever_falls_into_the_inbox_the_good_tasks_finish_and_the_rest_lies_in_failed(world: World) -> None:
    world.settings(allowed_working_dirs="[~]")
    world.play([{"say": "All done."}])
    daemon = world.start("--max-parallel", "4")
    process = psutil.Process(daemon.pid)
    before = process.memory_info().rss
    peak = before

    for number in range(GOOD // 2):
        world.move_in(f"good-{number}.yaml", f"instructions: job good-{number}!\n")
    corpus = cases()
    for case in corpus:
        world.move_in(case.file, case.data)
    nothing = [case for case in corpus if not case.data]
    corpus = [case for case in corpus if case.data]
    for number in range(GOOD // 2, GOOD):
        world.move_in(f"good-{number}.yaml", f"instructions: job good-{number}!\n")

    def ended(task: str) -> bool:
        nonlocal peak
        peak = max(peak, process.memory_info().rss)
        return world.where(task) in ("done", "failed")

    for task in [*(f"good-{number}" for number in range(GOOD)), *(case.name for case in corpus)]:
        wait_until(lambda task=task: ended(task), lambda task=task: world.story(task), LONG)  # type: ignore[misc]

    for number in range(GOOD):
        assert world.where(f"good-{number}") == "done"
        assert len(world.calls(f"job good-{number}!")) == 1, "started once"
    for case in corpus:
        folder = world.path(case.name)
        ending = json.loads((folder / "result.json").read_bytes())["verdict"]
        assert (case.name, ending) == (case.name, "succeeded" if case.verdict == "accepted" else "rejected")
        kept = next(folder.glob("task.*"))
        assert kept.read_bytes() == case.data, f"{case.file} is not what was dropped any more"
        if case.verdict == "rejected" and len(case.data) <= 1 << 20:
            error = (folder / "error.md").read_text()
            assert all(message in error for _, message, _ in case.problems), f"{case.file}: {error}"
    for case in nothing:
        assert (world.root / case.file).exists(), "somebody may be about to write into it"
    assert process.is_running()
    assert peak - before < MUCH, f"{before >> 20} MiB at first, {peak >> 20} MiB at most"
    assert "\x1b" not in daemon.log
