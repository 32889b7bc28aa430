"""A task that is saved again, wherever it is by then: one task, one session, and no word lost."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from harness import World, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def working(world: World, file: str, text: str, task: str, gate: Path) -> None:
    """Let claude work on a task until the gate is opened, and say something at the end of each run."""
    world.teach(text, [{"wait_for": str(gate)}, {"say": "First."}], [{"say": "Second."}], [{"say": "Third."}])
    world.move_in(file, text if file.endswith((".md", ".txt")) else f"instructions: {text}\n")
    world.wait_for(task, "running")
    world.agent_pid(task)


def edit(world: World, file: str, text: str) -> None:
    """Drop a newer text, and wait until it has been taken."""
    path = world.move_in(file, text)
    wait_until(lambda: not path.exists(), lambda: f"{file} was not taken:\n{world.daemon.log}")


@pytest.mark.parametrize(
    ("file", "again", "task"),
    [
        ("plain.yaml", "plain.yaml", "plain"),
        ("prose.md", "prose.md", "prose"),
        ("text.txt", "text.txt", "text"),
        ("short.yaml", "short.yml", "short"),
        ("long.markdown", "long.md", "long"),
        ("loud.yaml", "loud.YAML", "loud"),
        ("\u00fcbung.yaml", "u\u0308bung.yaml", "\u00fcbung"),
        ("scho\u0308n.md", "sch\u00f6n.md", "sch\u00f6n"),
    ],
)
def test_an_edit_goes_to_the_session_of_its_task(shared: World, gate: Path, file: str, again: str, task: str) -> None:
    text = f"job {task}"
    working(shared, file, text, task, gate)
    edit(shared, again, f"{text} and more\n" if again.endswith(("md", "txt")) else f"instructions: {text} and more\n")
    gate.touch()
    folder = shared.wait_for(task, "done")
    calls = shared.calls(text)
    assert [call["resume"] for call in calls] == [False, True]
    assert f"{text} and more" in calls[1]["prompt"]
    assert (folder / "result.md").read_text().startswith("Second.")
    assert [path.read_text() for path in folder.glob("task-1.*")] != [], "the earlier text is kept"
    assert shared.where(f"{task}-2") is None


def test_of_two_quick_edits_the_later_counts_and_both_earlier_texts_are_kept(shared: World, gate: Path) -> None:
    working(shared, "quick.yaml", "job quick", "quick", gate)
    for number in (2, 3):
        edit(shared, "quick.yaml", f"instructions: job quick {number}\n")
    gate.touch()
    folder = shared.wait_for("quick", "done")
    calls = shared.calls("job quick")
    assert [call["resume"] for call in calls] == [False, True]
    assert "job quick 3" in calls[1]["prompt"]
    assert (folder / "task-1.yaml").read_text() == "instructions: job quick\n"
    assert (folder / "task-2.yaml").read_text() == "instructions: job quick 2\n"


def test_an_edit_that_is_no_task_is_refused_beside_it_and_the_task_goes_on(shared: World, gate: Path) -> None:
    working(shared, "typo.yaml", "job typo", "typo", gate)
    edit(shared, "typo.yaml", "instructons: job typo 2\n")
    failed = shared.wait_for("typo-2", "failed")
    assert "did you mean `instructions`?" in (failed / "error.md").read_text()
    gate.touch()
    shared.wait_for("typo", "done")
    assert len(shared.calls("job typo")) == 1


def test_an_edit_that_is_still_settling_when_the_run_ends_goes_to_the_same_session(world: World, gate: Path) -> None:
    world.start(settle="1.5")
    working(world, "late.yaml", "job late", "late", gate)
    world.drop("late.yaml", "instructions: job late and more\n")
    gate.touch()
    folder = world.wait_for("late", "done")
    calls = world.calls("job late")
    assert [call["resume"] for call in calls] == [False, True]
    assert "job late and more" in calls[1]["prompt"]
    assert (folder / "result.md").read_text().startswith("Second.")
    assert not (folder / "result-1.md").exists() or (folder / "result-1.md").read_text().startswith("First.")
    assert world.where("late-2") is None


@pytest.mark.parametrize("name", ["opened", "copied", "touched"])
def test_an_edit_that_somebody_is_at_when_the_run_ends_goes_to_the_same_session(
    shared: World, gate: Path, name: str
) -> None:
    working(shared, f"{name}.yaml", f"job {name}", name, gate)
    lock = shared.root / f".{name}.yaml.swp"
    if name == "opened":
        lock.touch()
    with (shared.root / f"{name}.yaml").open("w") as file:
        if name != "touched":
            file.write(f"instructions: job {name} and")
            file.flush()
        gate.touch()

        def said() -> str:
            rows = json.loads(shared.run("status", "--json").stdout)["running"]
            return next((str(row["text"]) for row in rows if row["name"] == name), "")

        wait_until(lambda: "it has ended, but is being edited" in said(), lambda: f"{said()}\n{shared.story(name)}")
        file.write(f"instructions: job {name} and more\n" if name == "touched" else " more\n")
    lock.unlink(missing_ok=True)
    shared.wait_for(name, "done")
    calls = shared.calls(f"job {name}")
    assert [call["resume"] for call in calls] == [False, True]
    assert f"job {name} and more" in calls[1]["prompt"]
    assert shared.where(f"{name}-2") is None


def test_an_edit_that_somebody_is_at_outlasts_a_stop_of_the_daemon(world: World, gate: Path) -> None:
    daemon = world.start()
    working(world, "x.yaml", "job kept", "x", gate)
    lock = world.root / ".x.yaml.swp"
    lock.touch()
    world.drop("x.yaml", "instructions: job kept and more\n")
    gate.touch()
    daemon.wait_for_log("it has ended, but is being edited")
    assert daemon.stop() == 0
    world.start()
    lock.unlink()
    world.wait_for("x", "done")
    assert [call["resume"] for call in world.calls("job kept")] == [False, True]
    assert world.where("x-2") is None


def test_an_edit_while_a_question_waits_is_told_instead_of_an_answer(shared: World) -> None:
    shared.teach("job asks", [{"ask": {"text": "Which?"}}], [{"say": "Done."}])
    shared.move_in("asks.yaml", "instructions: job asks\n")
    shared.wait_for_question("asks")
    edit(shared, "asks.yaml", "instructions: job asks, take red\n")
    shared.wait_for("asks", "done")
    calls = shared.calls("job asks")
    assert [call["resume"] for call in calls] == [False, True]
    assert "Which?" in calls[1]["prompt"]
    assert "take red" in calls[1]["prompt"]


def test_a_file_saved_again_and_again_while_it_is_taken_becomes_one_task_with_its_last_text(
    shared: World, gate: Path
) -> None:
    shared.teach("job storm", [{"wait_for": str(gate)}, {"say": "First."}], [{"say": "Second."}])
    for number in range(40):
        shared.move_in("storm.yaml", f"instructions: job storm {number}\n")
        pause = time.monotonic() + 0.01 * (number % 5)
        wait_until(lambda pause=pause: time.monotonic() > pause, "")  # type: ignore[misc]
    wait_until(lambda: not (shared.root / "storm.yaml").exists(), lambda: shared.story("storm"))
    shared.wait_for("storm", "running")
    gate.touch()
    folder = shared.wait_for("storm", "done")
    assert (folder / "task.yaml").read_text() == "instructions: job storm 39\n"
    calls = shared.calls("job storm")
    assert "job storm 39" in calls[-1]["prompt"]
    assert [call["resume"] for call in calls] == [False, True][: len(calls)]
    assert shared.where("storm-2") is None


def test_the_same_text_dropped_again_on_purpose_is_a_task_of_its_own(shared: World) -> None:
    shared.move_in("again.yaml", "instructions: job again\n")
    shared.wait_for("again", "done")
    shared.move_in("again.yaml", "instructions: job again\n")
    shared.wait_for("again-2", "done")
    assert [call["resume"] for call in shared.calls("job again")] == [False, False]


# ---------------------------------------------------------------------------------------------- where it lies


def test_a_waiting_task_that_is_edited_where_it_lies_starts_with_the_new_text(world: World) -> None:
    world.settings(poll="0.2s")
    (world.root / "PAUSE").touch()
    world.start()
    world.move_in("here.yaml", "instructions: job here\n")
    world.move_in("later.yaml", "instructions: job later\n")
    (world.wait_until_queued("here") / "task.yaml").write_text("instructions: job here and now\n")
    (world.wait_until_queued("later") / "task.yaml").write_text(
        "instructions: job later\nnot_before: 2199-01-01T00:00\n"
    )
    (world.root / "PAUSE").unlink()
    world.wait_for("here", "done")
    [call] = world.calls("job here")
    assert "job here and now" in call["prompt"]
    wait_until(lambda: world.record("later").get("not_before"), "its new time was not read")
    assert world.where("later") == "pending"
    assert world.calls("job later") == []


def test_a_waiting_task_that_is_just_being_saved_when_it_would_start_is_neither_rejected_nor_started_half(
    world: World,
) -> None:
    world.settings(poll="0.2s")
    (world.root / "PAUSE").touch()
    world.start(settle="2")
    world.move_in("half.yaml", "instructions: job half\n")
    text = world.wait_until_queued("half") / "task.yaml"
    text.write_text("")
    (world.root / "PAUSE").unlink()
    wait_until(lambda: "its text was just changed" in (world.root / "STATUS.md").read_text(), "nobody has seen it")
    text.write_text("instructions: job half of it")
    wait_until(lambda: world.record("half").get("changed"), "nobody has seen it")
    text.write_text("instructions: job half of it, and the other half\n")
    world.wait_for("half", "done")
    [call] = world.calls("job half")
    assert "and the other half" in call["prompt"]


def test_a_waiting_task_that_somebody_has_open_is_not_started(world: World) -> None:
    world.settings(poll="0.2s")
    (world.root / "PAUSE").touch()
    world.start()
    world.move_in("open.yaml", "instructions: job open\n")
    folder = world.wait_until_queued("open")
    (folder / ".#task.yaml").symlink_to(f"me@{os.uname().nodename}.{os.getpid()}:1")
    (world.root / "PAUSE").unlink()
    world.move_in("other.yaml", "instructions: other\n")
    world.wait_for("other", "done")
    status = json.loads(world.run("status", "--json").stdout)
    assert "emacs still has it open" in {row["name"]: row["text"] for row in status["pending"]}["open"]
    (folder / ".#task.yaml").unlink()
    world.wait_for("open", "done")


def test_a_running_task_that_is_edited_where_it_lies_is_told_when_its_run_ends(shared: World, gate: Path) -> None:
    working(shared, "inside.yaml", "job inside", "inside", gate)
    (shared.path("inside") / "task.yaml").write_text("instructions: job inside and out\n")
    shared.daemon.wait_for_log("inside: running (its file was edited there)")
    gate.touch()
    shared.wait_for("inside", "done")
    calls = shared.calls("job inside")
    assert [call["resume"] for call in calls] == [False, True]
    assert "job inside and out" in calls[1]["prompt"]


def test_a_blocked_task_that_is_edited_where_it_lies_goes_on_with_the_new_text(shared: World) -> None:
    shared.teach("job stuck", [{"ask": {"text": "Which?"}}], [{"say": "Done."}])
    shared.move_in("stuck.yaml", "instructions: job stuck\n")
    folder = shared.wait_for_question("stuck")
    (folder / "task.yaml").write_text("instructons: job stuck\n")
    shared.daemon.wait_for_log("is no task any more")
    assert shared.where("stuck") == "blocked"
    (folder / "task.yaml").write_text("instructions: job stuck, take red\n")
    shared.wait_for("stuck", "done")
    calls = shared.calls("job stuck")
    assert [call["resume"] for call in calls] == [False, True]
    assert "take red" in calls[1]["prompt"]
