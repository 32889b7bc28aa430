"""Moving, deleting and creating files by hand is a way to say something."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from pathlib import Path

import pytest
from harness import Daemon, World, alive, wait_until

pytestmark = pytest.mark.slow

SLOW = {"bash": "sleep 60"}


def working(world: World, name: str = "x", text: str = "work\n") -> int:
    """Let claude work on a task, for as long as nobody stops it; return its process."""
    world.move_in(f"{name}.txt", text)
    world.wait_for(name, "running")
    pid = world.agent_pid(name)
    wait_until(lambda: world.calls(text.strip()), lambda: f"claude never came up:\n{world.story(name)}")
    return pid


def test_a_failed_task_handed_back_goes_on_in_its_session(shared: World) -> None:
    shared.teach(
        "job fails", [{"api_error": {"status": 400, "text": "API Error: 400 too bad"}}], [{"say": "It works."}]
    )
    shared.move_in("fails.txt", "job fails\n")
    folder = shared.wait_for("fails", "failed")
    assert "API Error: 400 too bad" in (folder / "error.md").read_text()
    folder.rename(shared.root / "pending" / "fails")
    folder = shared.wait_for("fails", "done")
    calls = shared.calls("job fails")
    assert [call["resume"] for call in calls] == [False, True]
    assert "handed back" in calls[1]["prompt"]
    assert not (folder / "error.md").exists(), "an old error lies beside a success"
    assert "too bad" in (folder / "error-1.md").read_text(), "nothing is thrown away"


def test_a_done_task_handed_back_with_a_word_goes_on_in_its_session(shared: World) -> None:
    shared.teach("job again", [{"say": "Done."}], [{"say": "Done better."}])
    shared.move_in("again.txt", "job again\n")
    folder = shared.wait_for("again", "done")
    (folder / "answer.md").write_text("Make it shorter.\n")
    folder.rename(shared.root / "pending" / "again")
    wait_until(lambda: len(shared.calls("job again")) == 2, lambda: shared.story("again"))
    folder = shared.wait_for("again", "done")
    call = shared.calls("job again")[1]
    assert call["resume"]
    assert "Make it shorter." in call["prompt"]
    assert (folder / "result.md").read_text().startswith("Done better.")


def test_a_cancel_file_ends_a_task_in_each_state(world: World) -> None:
    # A file in pending/ makes no event of ours on purpose (there may be thousands): it is seen by the next look.
    world.settings(poll="0.5s")
    world.play([SLOW], rules={"wonder": [[{"ask": {"text": "Well?"}}]]})
    world.start()
    world.move_in("blocked.txt", "wonder\n")
    world.wait_for("blocked", "blocked")
    pid = working(world, "running")
    world.move_in("pending.txt", "later\n")
    world.wait_until_queued("pending")
    for state in ("pending", "running", "blocked"):
        folder = world.path(state)
        assert folder.parent.name == state
        (folder / "cancel.txt").touch()
        folder = world.wait_for(state, "failed")
        assert json.loads((folder / "result.json").read_bytes())["verdict"] == "cancelled"
        assert "cancel" in (folder / "error.md").read_text()
        left = folder / "cancel.txt"
        wait_until(lambda left=left: not left.exists(), "handed back, it would be cancelled again")  # type: ignore[misc]
    assert not alive(pid)
    assert world.calls("later") == []


def test_a_cancelled_task_handed_back_goes_on(shared: World) -> None:
    shared.teach("job stopped", [SLOW], [{"say": "Done after all."}])
    working(shared, "stopped", "job stopped\n")
    (shared.path("stopped") / "cancel").touch()
    shared.wait_for("stopped", "failed").rename(shared.root / "pending" / "stopped")
    shared.wait_for("stopped", "done")
    assert [call["resume"] for call in shared.calls("job stopped")] == [False, True]


def test_folders_called_cancel_and_pause_do_the_same_for_those_who_can_make_no_files(world: World) -> None:
    world.play([SLOW], [{"say": "Done after all."}])
    daemon = world.start()
    pid = working(world)
    (world.root / "PAUSE").mkdir()
    (world.path("x") / "cancel").mkdir()
    folder = world.wait_for("x", "failed")
    assert not alive(pid)
    assert json.loads((folder / "result.json").read_bytes())["verdict"] == "cancelled"
    wait_until(lambda: not (folder / "cancel").exists(), "handed back, it would be cancelled again")
    folder.rename(world.root / "pending" / "x")
    wait_until(lambda: "paused" in world.run("status").stdout, lambda: world.story("x"))
    assert world.where("x") == "pending"
    assert world.run("resume").returncode == 0
    world.wait_for("x", "done")
    assert "error" not in daemon.log
    assert "deleted or moved away" not in daemon.log


def test_while_a_pause_file_lies_there_nothing_is_started_and_what_runs_goes_on(
    world: World, daemon: Daemon, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    world.play([{"say": "fine"}], rules={"first": [[{"wait_for": str(gate)}, {"say": "fine"}]]})
    working(world, "first", "first\n")
    wait_until(lambda: "- first (run 1 since " in (world.root / "STATUS.md").read_text(), "what runs is not shown")
    (world.root / "PAUSE.md").touch()
    world.move_in("second.txt", "second\n")
    world.wait_for("second", "pending")
    gate.touch()
    world.wait_for("first", "done")
    world.move_in("third.txt", "third\n")
    world.wait_for("third", "pending")
    assert world.calls("second") == []
    status = json.loads(world.run("status", "--json").stdout)
    assert "PAUSE.md" in {row["name"]: row["text"] for row in status["pending"]}["second"]
    (world.root / "PAUSE.md").unlink()
    world.wait_for("second", "done")
    world.wait_for("third", "done")


def test_a_file_taken_back_out_of_pending_takes_the_task_back(world: World, tmp_path: Path) -> None:
    world.settings(poll="0.3s")
    (world.root / "PAUSE").touch()
    world.start()
    world.move_in("x.yaml")
    folder = world.wait_until_queued("x")
    (folder / "task.yaml").rename(tmp_path / "mine.yaml")
    wait_until(lambda: world.where("x") is None, lambda: f"the task is still there:\n{world.story('x')}")
    assert (tmp_path / "mine.yaml").read_text() == "instructions: work\n"
    (world.root / "PAUSE").unlink()
    world.move_in("other.yaml")
    world.wait_for("other", "done")
    assert len(world.calls()) == 1


def test_a_file_that_was_taken_back_may_be_dropped_again_as_it_is(world: World) -> None:
    world.settings(poll="0.3s")
    (world.root / "PAUSE").touch()
    world.start()
    world.move_in("x.yaml")
    folder = world.wait_until_queued("x")
    mine = (folder / "task.yaml").rename(world.base / "mine.yaml")
    wait_until(lambda: world.where("x") is None, lambda: f"the task is still there:\n{world.story('x')}")
    (world.root / "PAUSE").unlink()
    mine.rename(world.root / "x.yaml")
    world.wait_for("x", "done", "failed")
    assert world.where("x") == "done", world.story("x")


def test_a_whole_task_taken_out_of_pending_is_gone(world: World, tmp_path: Path) -> None:
    (world.root / "PAUSE").touch()
    world.start()
    world.move_in("x.yaml")
    world.wait_until_queued("x").rename(tmp_path / "mine")
    (world.root / "PAUSE").unlink()
    world.move_in("other.yaml")
    world.wait_for("other", "done")
    assert world.where("x") is None
    assert len(world.calls()) == 1


def test_the_same_name_after_the_end_is_a_new_task_beside_the_old_one(shared: World) -> None:
    shared.move_in("name.yaml", "instructions: job one\n")
    shared.wait_for("name", "done")
    shared.move_in("name.yaml", "instructions: job two\n")
    second = shared.wait_for("name-2", "done")
    assert (second / "task.yaml").read_text() == "instructions: job two\n"
    assert (shared.path("name") / "task.yaml").read_text() == "instructions: job one\n"
    first, other = shared.calls("job one"), shared.calls("job two")
    assert len(first) == len(other) == 1
    assert first[0]["session_id"] != other[0]["session_id"]
    assert not other[0]["resume"]


def test_the_very_same_file_back_again_is_a_copy_and_not_run(shared: World, tmp_path: Path) -> None:
    (tmp_path / "copy.yaml").write_text("instructions: job once\n")
    shutil.copy2(tmp_path / "copy.yaml", shared.root / "copy.yaml")
    shared.wait_for("copy", "done")
    shutil.copy2(tmp_path / "copy.yaml", shared.root / "copy.yaml")
    folder = shared.wait_for("copy-2", "failed")
    assert json.loads((folder / "result.json").read_bytes())["verdict"] == "duplicate"
    assert "taken before" in (folder / "error.md").read_text()
    assert (folder / "task.yaml").read_text() == "instructions: job once\n"
    assert len(shared.calls("job once")) == 1
    # Handed back, it is meant. (Not in the very instant in which it is refused: that is written down behind the move.)
    wait_until(lambda: "outcome" in shared.record("copy-2"), "that it was refused was never written down")
    folder.rename(shared.root / "pending" / "copy-2")
    shared.wait_for("copy-2", "done")
    assert [call["resume"] for call in shared.calls("job once")] == [False, False]


def test_moving_a_running_task_away_stops_it_and_never_runs_it_twice(world: World, tmp_path: Path) -> None:
    world.play([SLOW], [{"say": "Done."}])
    daemon = world.start("--max-parallel", "9")
    targets = ("pending", "blocked", "failed", "done", "elsewhere", "deleted")
    pids = {target: working(world, target, f"move to {target}\n") for target in targets}
    for target in targets:
        folder = world.root / "running" / target
        aim = tmp_path / target if target in ("elsewhere", "deleted") else world.root / target / target
        folder.rename(aim)
        if target == "deleted":
            shutil.rmtree(aim, ignore_errors=True)
    for pid in pids.values():
        wait_until(lambda pid=pid: not alive(pid), lambda: f"claude still works on it:\n{world.story('pending')}")  # type: ignore[misc]
    # Back in pending/, it goes on in its session; anywhere else, it rests.
    world.wait_for("pending", "done")
    assert [call["resume"] for call in world.calls("move to pending")] == [False, True]
    for target in targets[1:]:
        assert len(world.calls(f"move to {target}")) == 1
        assert world.where(target) == (target if target in ("blocked", "failed", "done") else None)
    ticks = daemon.cpu_ticks()
    end = time.monotonic() + 0.5
    wait_until(lambda: time.monotonic() > end, "")
    assert daemon.cpu_ticks() - ticks < 10, "it looks again and again at what is gone"


def test_a_conflict_copy_is_left_where_it_is(shared: World) -> None:
    copy = shared.move_in("both.sync-conflict-20260101-101010-ABCDEFG.yaml", "instructions: job both\n")
    shared.move_in("both.yaml", "instructions: job both\n")
    shared.wait_for("both", "done")
    assert copy.exists()
    assert len(shared.calls("job both")) == 1


def test_an_edit_of_a_running_task_reaches_its_session_when_the_run_ends(shared: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    shared.teach("job edited", [{"wait_for": str(gate)}, {"say": "First."}], [{"say": "Second."}])
    shared.move_in("edited.yaml", "instructions: job edited\n")
    shared.wait_for("edited", "running")
    edit = shared.move_in("edited.yaml", "instructions: job edited and more\n")
    wait_until(lambda: not edit.exists(), lambda: f"the edit was not taken:\n{shared.story('edited')}")
    gate.touch()
    folder = shared.wait_for("edited", "done")
    calls = shared.calls("job edited")
    assert [call["resume"] for call in calls] == [False, True]
    assert "job edited and more" in calls[1]["prompt"]
    assert (folder / "result.md").read_text().startswith("Second.")
    assert shared.where("edited-2") is None


def test_a_name_that_somebody_has_taken_by_hand_is_not_replaced(shared: World) -> None:
    mine = shared.root / "done" / "mine"
    mine.mkdir()
    (mine / "result.md").write_text("mine\n")
    shared.move_in("mine.yaml")
    shared.wait_for("mine-2", "done")
    assert (mine / "result.md").read_text() == "mine\n"


def test_a_task_moved_while_its_run_is_ending_ends_in_exactly_one_place(world: World) -> None:
    states = ("pending", "running", "blocked", "done", "failed")
    world.play([{"say": "Done."}], [{"say": "Done again."}])
    world.start("--max-parallel", "3")
    moves = [(number, target) for number in range(4) for target in ("pending", "blocked", "failed", "done")]
    for number, target in moves:
        name = f"race-{target}-{number}"
        world.move_in(f"{name}.txt", f"{name}.\n")
        world.wait_for(name, "running", "done")
        # A run of the stand-in takes some 200 ms; from before its end to after its filing.
        moment = time.monotonic() + 0.06 * number
        wait_until(lambda moment=moment: time.monotonic() > moment, "")  # type: ignore[misc]
        with contextlib.suppress(OSError):
            (world.root / "running" / name).rename(world.root / target / name)
    for number, target in moves:
        name = f"race-{target}-{number}"
        wait_until(
            lambda name=name: world.where(name) in ("done", "failed", "blocked"),  # type: ignore[misc]
            lambda name=name: world.story(name),  # type: ignore[misc]
        )
    world.move_in("last.txt", "last.\n")
    world.wait_for("last", "done")
    for number, target in moves:
        name = f"race-{target}-{number}"
        places = [path for state in states for path in (world.root / state).glob(f"{name}*")]
        assert len(places) == 1, places
        assert (places[0] / "task.txt").read_text() == f"{name}.\n"
        assert (places[0] / "record.json").exists()
        assert [call["resume"] for call in world.calls(f"{name}.")].count(False) <= 1
    assert not list((world.root / "running").iterdir())


def test_a_blocked_task_moved_to_pending_goes_on_without_an_answer(shared: World) -> None:
    shared.teach("job skipped", [{"ask": {"text": "Which?"}}], [{"say": "Done."}])
    shared.move_in("skipped.txt", "job skipped\n")
    folder = shared.wait_for_question("skipped")
    folder.rename(shared.root / "pending" / "skipped")
    folder = shared.wait_for("skipped", "done")
    assert [call["resume"] for call in shared.calls("job skipped")] == [False, True]
    assert (folder / "question-1.json").exists()


def test_a_blocked_task_that_is_deleted_is_gone_and_its_name_is_free(shared: World) -> None:
    shared.teach("job dropped", [{"ask": {"text": "Which?"}}])
    shared.teach("job instead", [{"say": "Done."}])
    shared.move_in("dropped.txt", "job dropped\n")
    folder = shared.wait_for_question("dropped")
    shutil.rmtree(folder)
    shared.move_in("dropped.txt", "job instead\n")
    shared.wait_for("dropped", "done")
    assert [call["resume"] for call in shared.calls("job instead")] == [False]


def test_a_blocked_task_moved_to_done_or_failed_rests_there(shared: World) -> None:
    shared.teach("job rests", [{"ask": {"text": "Which?"}}], [{"say": "Done."}])
    for target in ("done", "failed"):
        name = f"rests-in-{target}"
        shared.move_in(f"{name}.txt", f"job rests {target}\n")
        folder = shared.wait_for_question(name)
        moved = folder.rename(shared.root / target / name)
        (moved / "answer.md").write_text("red\n")
    shared.move_in("rests-after.txt", "after\n")
    shared.wait_for("rests-after", "done")
    for target in ("done", "failed"):
        name = f"rests-in-{target}"
        assert shared.where(name) == target
        assert len(shared.calls(f"job rests {target}")) == 1
    # And back again, with the answer.
    shared.path("rests-in-failed").rename(shared.root / "pending" / "rests-in-failed")
    shared.wait_for("rests-in-failed", "done")
    assert "red" in shared.calls("job rests failed")[1]["prompt"]
