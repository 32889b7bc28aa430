"""When a drop or an answer counts as finished: at once where somebody moved it in, after a quiet time where not."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from harness import World, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.watcher]
"""Only events tell what was moved in from what is being written; without them everything counts as the latter."""

SETTLE = 1.0
"""Seconds. Long against everything that the daemon does, so that "at once" and "later" cannot be mixed up."""
AT_ONCE = 0.6
TASK = "instructions: work\n"


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory, template: World) -> Iterator[World]:
    """A daemon for all tests of this module: it takes tasks, and starts none."""
    world = World(tmp_path_factory.mktemp("world"))
    world.copy_of(template)
    (world.root / "PAUSE").touch()
    world.start(settle=str(SETTLE))
    yield world
    world.end()
    assert not world.errors()


def time_until_taken(world: World, *names: str) -> dict[str, float]:
    """Wait until these files have left the inbox; say how long after now each did."""
    begin = time.monotonic()
    taken: dict[str, float] = {}

    def all_taken() -> bool:
        for name in names:
            if name not in taken and not os.path.lexists(world.root / name):
                taken[name] = time.monotonic() - begin
        return len(taken) == len(names)

    wait_until(all_taken, lambda: f"{set(names) - set(taken)} were never taken:\n{world.story(names[0])}")
    return taken


def settled(world: World) -> None:
    """Wait until the daemon has looked at everything that lies there now: a task moved in later has been taken."""
    name = f"probe-{time.monotonic_ns()}.yaml"
    world.move_in(name, TASK)
    time_until_taken(world, name)


def waits(world: World) -> dict[str, str]:
    """What the daemon lets people know of why something waits."""
    [notice] = (world.home / "state").rglob("notice.json")
    return {one["name"]: one["reason"] for one in json.loads(notice.read_bytes())["waiting"]}


def moved_in(world: World, name: str) -> None:
    world.move_in(name, TASK)


def renamed_from_a_draft(world: World, name: str) -> None:
    draft = world.drop(f"{name.removesuffix('.yaml')}.draft.yaml", TASK)
    settled(world)
    draft.rename(world.root / name)


def renamed_from_another_kind_of_file(world: World, name: str) -> None:
    note = world.drop(f"{name}.jpg", TASK)
    settled(world)
    note.rename(world.root / name)


def ended_with_done(world: World, name: str) -> None:
    world.drop(name, f"{TASK}done: true\n")


def ended_with_done_while_an_editor_has_it_open(world: World, name: str) -> None:
    (world.root / f".{name}.swp").touch()
    world.drop(name, f"{TASK}done: true\n")


@pytest.mark.parametrize(
    "arrive",
    [
        moved_in,
        renamed_from_a_draft,
        renamed_from_another_kind_of_file,
        ended_with_done,
        ended_with_done_while_an_editor_has_it_open,
    ],
)
def test_a_deliberate_act_is_taken_at_once(inbox: World, arrive: Callable[[World, str], None]) -> None:
    name = f"{arrive.__name__}.yaml"
    arrive(inbox, name)
    assert time_until_taken(inbox, name)[name] < AT_ONCE


def test_a_text_that_ends_with_a_lone_dot_is_taken_at_once(inbox: World) -> None:
    inbox.drop("dot.md", "# Work\n\nplease\n.\n")
    assert time_until_taken(inbox, "dot.md")["dot.md"] < AT_ONCE


def test_what_may_still_be_written_is_taken_only_after_a_quiet_time(inbox: World) -> None:
    inbox.drop("in-place.yaml", TASK)
    # What sync tools and editors do at every save.
    inbox.drop(".synced.yaml.tmp", TASK).rename(inbox.root / "synced.yaml")
    inbox.drop("saved.yaml~", TASK).rename(inbox.root / "saved.yaml")
    # A sync tool keeps the time of the other machine.
    old = inbox.drop("old.yaml", TASK)
    os.utime(old, (1_500_000_000, 1_500_000_000))
    future = inbox.drop("future.yaml", TASK)
    os.utime(future, (4_000_000_000, 4_000_000_000))
    # A link makes no event but its creation.
    (inbox.base / "outside").write_text(TASK)
    os.link(inbox.base / "outside", inbox.root / "linked.yaml")
    # Moved in, but written to afterwards.
    inbox.move_in("touched.yaml", "instructions: w")
    with (inbox.root / "touched.yaml").open("a") as file:
        file.write("ork\n")
    names = ["in-place.yaml", "synced.yaml", "saved.yaml", "old.yaml", "future.yaml", "linked.yaml"]
    taken = time_until_taken(inbox, *names)
    assert {name: when for name, when in taken.items() if when < SETTLE - 0.2} == {}
    assert {name: when for name, when in taken.items() if when > SETTLE + 2} == {}


def test_a_slow_writer_is_waited_for_and_all_of_it_arrives(inbox: World) -> None:
    lines = ["instructions: |\n", *(f"  line {number}\n" for number in range(4))]
    path = inbox.root / "slow.yaml"
    last = 0.0
    for line in lines:
        # Every prefix of it is a valid task.
        with path.open("a") as file:
            file.write(line)
        last = time.monotonic()
        pause = last + SETTLE / 2
        wait_until(lambda pause=pause: time.monotonic() > pause or not path.exists(), "")  # type: ignore[misc]
        assert path.exists(), "it was taken in the middle"
    time_until_taken(inbox, "slow.yaml")
    assert time.monotonic() - last >= SETTLE - 0.2
    assert (inbox.wait_for("slow", "pending") / "task.yaml").read_text() == "".join(lines)


def test_a_file_that_a_program_has_open_is_waited_for_however_quiet_it_is(inbox: World) -> None:
    path = inbox.root / "held.yaml"
    with path.open("w") as file:
        file.write(TASK)
        file.flush()
        inbox.drop("later.yaml", TASK)
        time_until_taken(inbox, "later.yaml")
        settled(inbox)
        assert path.exists()
        assert "open for writing" in waits(inbox)["held.yaml"]
    time_until_taken(inbox, "held.yaml")


def test_a_file_with_vims_swap_file_beside_it_is_waited_for_and_that_is_said(inbox: World) -> None:
    (inbox.root / ".vimmed.yaml.swp").touch()
    inbox.drop("vimmed.yaml", TASK)
    inbox.drop("later-2.yaml", TASK)
    time_until_taken(inbox, "later-2.yaml")
    settled(inbox)
    assert (inbox.root / "vimmed.yaml").exists()
    assert "vim" in waits(inbox)["vimmed.yaml"]
    (inbox.root / ".vimmed.yaml.swp").unlink()
    time_until_taken(inbox, "vimmed.yaml")


def test_an_empty_file_is_waited_for_until_something_stands_in_it(inbox: World) -> None:
    path = inbox.drop("empty.yaml", "")
    inbox.drop("later-3.yaml", TASK)
    time_until_taken(inbox, "later-3.yaml")
    settled(inbox)
    assert path.exists()
    assert "empty" in waits(inbox)["empty.yaml"]
    path.write_text(TASK)
    time_until_taken(inbox, "empty.yaml")
    assert (inbox.wait_for("empty", "pending") / "task.yaml").read_text() == TASK


def test_a_file_that_vim_saves_again_and_again_is_taken_whole(inbox: World) -> None:
    """As vim saves: the old text aside, a new file under the old name, which is empty for a moment."""
    path = inbox.drop("resaved.yaml", TASK)
    for number in range(20):
        path.rename(inbox.root / "resaved.yaml~")
        path.write_text(f"instructions: version {number}\n")
        (inbox.root / "resaved.yaml~").unlink()
    time_until_taken(inbox, "resaved.yaml")
    assert (inbox.wait_for("resaved", "pending") / "task.yaml").read_text() == "instructions: version 19\n"


def test_many_files_moved_in_at_once_are_all_taken(inbox: World) -> None:
    names = [f"burst-{number}.yaml" for number in range(100)]

    def move(part: list[str]) -> None:
        for name in part:
            inbox.move_in(name, TASK)

    threads = [threading.Thread(target=move, args=(names[at::4],)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time_until_taken(inbox, *names)
    assert {inbox.where(name.removesuffix(".yaml")) for name in names} == {"pending"}


def test_answers_follow_the_same_rules(world: World) -> None:
    world.play([{"ask": {"text": "Well?"}}], [{"say": "Done."}])
    settle = 4.0  # there are many of them, and a busy machine takes its time: "at once" must be told from it
    world.start("--max-parallel", "7", settle=str(settle))
    ways = ["moved", "renamed", "dotted", "in-front", "utf-16", "written", "edited"]
    for name in ways:
        world.move_in(f"{name}.yaml")
    folders = {name: world.wait_for(name, "blocked") for name in ways}
    for folder in folders.values():
        wait_until((folder / "question.md").exists, "there is no question")
    (folders["renamed"] / "answer.draft.md").write_text("yes\n")
    (folders["edited"] / ".answer.md.swp").touch()
    (folders["edited"] / "answer.md").write_text("yes\n")

    (world.root / "PAUSE").touch()  # so that starting them does not take the time
    settled(world)  # only what happens in a folder that is watched by then can be told as moved in
    begin = time.monotonic()
    (folders["written"] / "answer.md").write_text("yes\n")
    world.answer("moved", "yes\n")
    (folders["renamed"] / "answer.draft.md").rename(folders["renamed"] / "answer.md")
    (folders["dotted"] / "answer.md").write_text("yes\n.\n")
    (folders["in-front"] / "answer.md").write_text("---\ndone: true\n---\nyes\n")
    (folders["utf-16"] / "answer.txt").write_bytes("yes\r\n.\r\n".encode("utf-16"))
    for name in ("moved", "renamed", "dotted", "in-front", "utf-16"):
        wait_until(lambda name=name: world.where(name) != "blocked", lambda: world.story("moved"))  # type: ignore[misc]
    assert time.monotonic() - begin < settle - 0.5
    assert world.where("written") == "blocked"
    (world.root / "PAUSE").unlink()
    wait_until(lambda: world.where("written") != "blocked", lambda: world.story("written"))
    assert time.monotonic() - begin >= settle - 0.05
    for name in ways[:-1]:
        world.wait_for(name, "done")
    assert world.where("edited") == "blocked", "an editor still has it open"
    (folders["edited"] / ".answer.md.swp").unlink()
    world.wait_for("edited", "done")
