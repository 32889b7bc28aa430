"""Folders that were moved on another device: a sync tool brings them file by file, and removes them file by file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from harness import STATES, World, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.watcher]
"""Else each look in between took as long as nothing may come for, and what is there would count as all there is."""

LOGS = ("run-1.jsonl", "run-1.stderr")
"""What docs/sync/syncthing.md advises to keep off the phone, which therefore never moves it."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, template: World) -> Iterator[World]:
    """A daemon that waits for longer than a test takes from one file to the next."""
    world = World(tmp_path_factory.mktemp("shared"))
    world.copy_of(template)
    world.start("--max-parallel", "20", settle="1.5")
    yield world
    world.end()
    assert not world.errors(), f"the daemon broke down:\n{world.errors()}"


def question_asked(world: World, name: str) -> Path:
    """A task that waits for an answer, and has begun its work."""
    begun = {"write": {"path": "box.txt", "text": "half a box"}}
    last = [{"bash": "cat box.txt"}, {"say": "Painted."}]
    world.teach(f"paint {name}", [begun, {"ask": {"text": "Which colour?"}}], last)
    world.move_in(f"{name}.txt", f"paint {name}\n")
    return world.wait_for_question(name)


def bring(files: Iterable[str], old: Path, new: Path) -> None:
    """Write these files as a sync tool does."""
    for file in files:
        (path := new / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(old / file, temporary := path.with_name(f".syncthing.{path.name}.tmp"))
        temporary.rename(path)


def let_it_look(world: World) -> None:
    """Wait until the daemon has looked at what lies there now."""
    world.move_in("probe.txt", f"probe {time.monotonic_ns()}\n")
    wait_until(lambda: not (world.root / "probe.txt").exists(), lambda: world.story("probe"))


def assert_gone_on_with_as_one_task(world: World, name: str) -> None:
    wait_until(
        lambda: [state for state in STATES if (world.root / state / name).exists()] == ["done"],
        lambda: f"it is not done, or lies in two places:\n{world.story(name)}",
        patience=30,  # what may also be the beginning of something is given 18 settle times
    )
    folder = world.path(name)
    assert [call["resume"] for call in world.calls(f"paint {name}")] == [False, True]
    assert "half a box" in (folder / "run-2.jsonl").read_text(), "its work stayed behind"
    assert [log for log in LOGS if not (folder / log).exists()] == []
    assert not list((world.root / "failed").glob(f"{name}*"))


@pytest.mark.parametrize("last", ["record.json", "task.txt", "question.json", "work/box.txt"])
def test_whatever_comes_last_it_goes_on_as_one_task_with_all_that_it_had(shared: World, last: str) -> None:
    name = f"last-{Path(last).stem}"
    old, new = question_asked(shared, name), shared.root / "pending" / name
    files = [str(path.relative_to(old)) for path in sorted(old.rglob("*")) if path.is_file() and path.name not in LOGS]
    bring([file for file in files if file != last], old, new)
    let_it_look(shared)
    bring([last], old, new)
    for file in reversed(files):
        (old / file).unlink()
    (old / "work").rmdir()
    assert_gone_on_with_as_one_task(shared, name)


def test_the_old_folder_may_be_removed_much_later(shared: World) -> None:
    """Syncthing gathers removals for a minute."""
    old = question_asked(shared, "later")
    files = [path.name for path in old.iterdir() if path.is_file() and path.name not in LOGS]
    bring([*files, "work/box.txt"], old, shared.root / "pending" / "later")
    control = shared.drop("control.txt", "a control\n")
    wait_until(lambda: not control.exists(), lambda: shared.story("control"))
    let_it_look(shared)
    assert "it lies in blocked/later and in pending/later" in (shared.root / "STATUS.md").read_text()
    shutil.rmtree(old / "work")
    for file in files:
        (old / file).unlink()
    assert_gone_on_with_as_one_task(shared, "later")


def test_what_stays_behind_because_the_other_device_does_not_have_it_follows_its_task(world: World) -> None:
    world.start()  # with a short settle time: all of them that it takes are waited for here
    old = question_asked(world, "ignored")
    new = world.root / "pending" / "ignored"
    new.mkdir()
    for file in [path for path in old.iterdir() if path.name not in (*LOGS, "work")]:
        file.rename(new / file.name)
    assert_gone_on_with_as_one_task(world, "ignored")


def test_a_folder_that_somebody_made_himself_is_not_taken_for_what_a_task_has_left_behind(shared: World) -> None:
    (folder := shared.root / "pending" / "holiday").mkdir()
    (folder / "photo.jpg").write_text("a beach")
    said = shared.wait_for("holiday", "failed") / "error.md"
    wait_until(said.exists, lambda: shared.story("holiday"))
    assert "record.json" in said.read_text()
    assert (said.parent / "photo.jpg").read_text() == "a beach"
