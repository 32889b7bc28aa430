"""Answers that are saved again after they were taken: kept, passed on, never an answer to something else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from harness import Daemon, World, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.watcher]
"""Without events every probe takes a settle time, and what is waited for is given up meanwhile."""


def wait_until_kept(world: World, name: str) -> None:
    def kept() -> bool:
        folder = world.root / str(world.where(name)) / name
        return (folder / "late-answer-1.md").exists()

    wait_until(kept, lambda: f"the late answer was not kept:\n{world.story(name)}")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def test_an_answer_written_while_claude_works_reaches_its_session_when_the_run_ends(shared: World, gate: Path) -> None:
    shared.teach("job late", [{"wait_for": str(gate)}, {"say": "First."}], [{"say": "Second."}])
    shared.move_in("late.txt", "job late\n")
    folder = shared.wait_for("late", "running")
    shared.agent_pid("late")
    (folder / "answer.md").write_text("one more thing\n")
    wait_until_kept(shared, "late")
    gate.touch()
    folder = shared.wait_for("late", "done")
    calls = shared.calls("job late")
    assert [call["resume"] for call in calls] == [False, True]
    assert "> one more thing" in calls[1]["prompt"]
    assert (folder / "late-answer-1.md").read_text() == "one more thing\n"
    assert (folder / "result.md").read_text().startswith("Second.")


def test_a_folder_that_an_editor_makes_again_gives_its_answer_to_the_task_that_has_moved_on(
    shared: World, gate: Path
) -> None:
    shared.teach(
        "job moved on", [{"ask": {"text": "Which?"}}], [{"wait_for": str(gate)}, {"say": "A."}], [{"say": "B."}]
    )
    shared.move_in("moved.txt", "job moved on\n")
    shared.wait_for_question("moved")
    shared.answer("moved", "red\n")
    shared.wait_for("moved", "running")
    again = shared.root / "blocked" / "moved"
    again.mkdir()
    (again / "answer.md").write_text("red, or rather green\n")
    wait_until((shared.root / "running" / "moved" / "late-answer-1.md").exists, lambda: shared.daemon.log)
    wait_until(lambda: not again.exists(), "the empty folder stays")
    gate.touch()
    shared.wait_for("moved", "done")
    calls = shared.calls("job moved on")
    assert len(calls) == 3
    assert "> red, or rather green" in calls[2]["prompt"]
    assert "answer that came too late" in shared.daemon.log


def test_the_same_answer_saved_again_is_kept_and_costs_no_run(shared: World, gate: Path) -> None:
    shared.teach("job same", [{"ask": {"text": "Which?"}}], [{"wait_for": str(gate)}, {"say": "A."}])
    shared.move_in("same.txt", "job same\n")
    shared.wait_for_question("same")
    shared.answer("same", "red\n")
    folder = shared.wait_for("same", "running")
    (folder / "answer.md").write_text("red\n")
    wait_until_kept(shared, "same")
    gate.touch()
    shared.wait_for("same", "done")
    assert len(shared.calls("job same")) == 2


def test_a_late_answer_never_answers_a_later_question(shared: World, gate: Path) -> None:
    shared.teach(
        "job twice",
        [{"ask": {"text": "First?"}}],
        [{"wait_for": str(gate)}, {"ask": {"text": "Second?"}}],
        [{"say": "Done."}],
    )
    shared.move_in("twice.txt", "job twice\n")
    shared.wait_for_question("twice")
    shared.answer("twice", "red\n")
    shared.wait_for("twice", "running")
    again = shared.root / "blocked" / "twice"
    again.mkdir()
    (again / "answer.md").write_text("green\n")
    # The run ends, and asks, while that has not been quiet for long enough to be carried over.
    gate.touch()
    wait_until((again / "record.json").exists, lambda: shared.story("twice"))
    folder = shared.path("twice")
    wait_until((folder / "question.md").exists, "there is no question")
    wait_until((folder / "late-answer-1.md").exists, lambda: shared.story("twice"))
    assert shared.where("twice") == "blocked"
    assert shared.where("twice-2") is None, "it has another name, because its place was taken"
    shared.answer("twice", "blue\n")
    shared.wait_for("twice", "done")
    calls = shared.calls("job twice")
    assert len(calls) == 3
    assert "blue" in calls[2]["prompt"]
    assert "> green" in calls[2]["prompt"]
    assert "too late to be the answer" in calls[2]["prompt"]


def test_an_answer_to_a_task_that_has_ended_is_kept_beside_it_and_reported(shared: World) -> None:
    shared.teach("job ended", [{"say": "Done."}])
    shared.move_in("ended.txt", "job ended\n")
    shared.wait_for("ended", "done")
    stray = shared.root / "blocked" / "ended"
    stray.mkdir()
    (stray / "answer.md").write_text("wait\n")
    shared.daemon.wait_for_log("ended: an answer came when it had ended; it is kept in done/ended/ as late-answer-1.md")
    wait_until(lambda: not stray.exists(), "the empty folder stays")
    assert (shared.path("ended") / "late-answer-1.md").read_text() == "wait\n"
    assert len(shared.calls("job ended")) == 1


def test_an_answer_for_a_task_that_nobody_knows_stays_where_it_is_and_is_reported(shared: World) -> None:
    stray = shared.root / "blocked" / "nobody"
    stray.mkdir()
    (stray / "answer.md").write_text("yes\n")
    shared.daemon.wait_for_log("blocked/nobody: there is no task of this name")
    assert (stray / "answer.md").read_text() == "yes\n"
    assert "blocked/nobody" in shared.run("status").stdout
    assert "blocked/nobody" in (shared.root / "STATUS.md").read_text()
    shutil.rmtree(stray)


def test_an_answer_beside_its_tasks_folder_is_reported_and_so_is_a_task_in_pending(shared: World) -> None:
    lost = shared.root / "blocked" / "answer.md"
    lost.write_text("red\n")
    misplaced = shared.root / "pending" / "misplaced.yaml"
    misplaced.write_text("instructions: work\n")
    shared.daemon.wait_for_log("blocked/answer.md")
    shared.daemon.wait_for_log("pending/misplaced.yaml")
    said = {row["name"]: row["text"] for row in json.loads(shared.run("status", "--json").stdout)["left_alone"]}
    assert "the folder of its task" in said["blocked/answer.md"]
    assert "the inbox itself" in said["pending/misplaced.yaml"]
    misplaced.rename(shared.root / "misplaced.yaml")
    shared.wait_for("misplaced", "done")
    lost.unlink()


def test_an_empty_folder_or_a_lock_where_a_task_was_disturbs_nobody(shared: World, gate: Path) -> None:
    shared.teach("job locked", [{"wait_for": str(gate)}, {"ask": {"text": "Well?"}}], [{"say": "Done."}])
    shared.move_in("locked.txt", "job locked\n")
    shared.wait_for("locked", "running")
    stray = shared.root / "blocked" / "locked"
    stray.mkdir()
    (stray / ".answer.md.swp").touch()
    (shared.root / "done" / "locked").mkdir()
    gate.touch()
    wait_until((stray / "question.md").exists, lambda: shared.story("locked"))
    (stray / ".answer.md.swp").unlink()
    shared.answer("locked", "yes\n")
    wait_until((shared.root / "done" / "locked" / "result.md").exists, lambda: shared.story("locked"))
    assert shared.where("locked-2") is None


def test_an_answer_that_a_sync_tool_brings_back_answers_nothing(shared: World, tmp_path: Path) -> None:
    shared.teach("job back", [{"ask": {"text": "First?"}}], [{"ask": {"text": "Second?"}}], [{"say": "Done."}])
    shared.move_in("back.txt", "job back\n")
    folder = shared.wait_for_question("back")
    (tmp_path / "answer.md").write_text("red\n")
    os.utime(tmp_path / "answer.md", (1_700_000_000, 1_700_000_000))
    shutil.copy2(tmp_path / "answer.md", tmp_path / "copy.md")
    (tmp_path / "copy.md").rename(folder / "answer.md")
    wait_until(lambda: len(shared.calls("job back")) == 2, lambda: shared.story("back"))
    folder = shared.wait_for_question("back")
    (tmp_path / "answer.md").rename(folder / "answer.md")
    wait_until_kept(shared, "back")
    assert shared.where("back") == "blocked"
    # The same word, given on purpose.
    shared.answer("back", "red\n")
    shared.wait_for("back", "done")
    assert [call["resume"] for call in shared.calls("job back")] == [False, True, True]


def test_a_sync_tools_copy_of_an_answer_that_was_taken_is_not_read_with_it(world: World) -> None:
    world.play([{"ask": {"text": "Which?"}}], [{"say": "Done."}])
    world.start()
    world.move_in("x.txt")
    world.wait_for_question("x")
    (world.root / "PAUSE").touch()
    world.answer("x", "red\n")
    folder = world.wait_for("x", "pending")
    copy = folder / "answer-1.sync-conflict-20261122-063840-2BBAXIU.md"
    copy.write_text("blue\n")
    (world.root / "PAUSE").unlink()
    folder = world.wait_for("x", "done")
    assert "red" in world.calls()[1]["prompt"]
    assert "blue" not in world.calls()[1]["prompt"]
    assert (folder / copy.name).read_text() == "blue\n"


def test_a_cancel_file_where_the_task_was_calls_it_off(shared: World) -> None:
    shared.teach("job cancel", [{"bash": "sleep 60"}])
    shared.move_in("called-off.txt", "job cancel\n")
    shared.wait_for("called-off", "running")
    stray = shared.root / "pending" / "called-off"
    stray.mkdir()
    (stray / "cancel").touch()
    folder = shared.wait_for("called-off", "failed")
    assert json.loads((folder / "result.json").read_bytes())["verdict"] == "cancelled"


def test_a_folder_that_arrives_file_by_file_is_waited_for_and_then_goes_on(world: World, daemon: Daemon) -> None:
    """As a sync tool does it, when a task was handed back on another device."""
    world.play([{"api_error": {"status": 400, "text": "API Error: 400 too bad"}}], [{"say": "It works."}])
    world.move_in("pieces.txt", "job\n")
    failed = world.wait_for("pieces", "failed")
    away = failed.rename(world.base / "away")
    target = world.root / "pending" / "pieces"
    target.mkdir()
    for name in ("error.md", "task.txt", "result.json", "run-1.jsonl", "record.json"):
        (away / name).rename(target / name)
        world.move_in(f"probe-{name}.txt", "probe\n")
        wait_until(lambda name=name: not (world.root / f"probe-{name}.txt").exists(), "the daemon does not look")  # type: ignore[misc]
    world.wait_for("pieces", "done")
    assert [call["resume"] for call in world.calls("job")] == [False, True]
