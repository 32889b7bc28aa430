"""What the state machine has found, reduced to what a person can read."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_disk import Ear
from pretend_claude import Claude
from small_world import SmallWorld

from dropbox_runner.daemon.doorbell import Doorbell

EFFECTS = range(14)
"""More than taking a file has."""
FIRST, SECOND = b"instructions: do piece 1 of the work\n", b"instructions: do piece 2 of the work\n"


@pytest.fixture(scope="module")
def ear() -> Ear:
    return Ear()


@pytest.fixture
def world(tmp_path: Path, ear: Ear) -> Iterator[SmallWorld]:
    world = SmallWorld(tmp_path / "world", Doorbell())
    ear.disk = world.disk
    yield world
    ear.disk = None
    world.close()


def drop(world: SmallWorld, data: bytes = FIRST, mtime_ns: int | None = None) -> None:
    world.move_in(world.root / "a.yaml", data, mtime_ns)
    world.settle()


def agent(world: SmallWorld) -> Claude:
    """The one that is alive."""
    [one] = world.machine.alive
    return one


def at_work(world: SmallWorld) -> Claude:
    one = agent(world)
    world.machine.begin(one)
    world.machine.work(one)
    return one


def asks(world: SmallWorld, text: str = "Which?") -> None:
    one = at_work(world)
    world.machine.ask(one, text)
    world.machine.succeed(one)
    world.machine.end(one, 0)
    world.settle()


def is_killed(world: SmallWorld) -> None:
    world.machine.end(agent(world), -9)
    world.settle()


def start_again(world: SmallWorld) -> None:
    world.disk.mend()
    world.start()
    world.tick()
    world.pass_time(10)  # what was moved in, a new daemon has only found
    world.settle()


def where(world: SmallWorld) -> list[str]:
    return [f"{path.parent.name}/{path.name}" for path in world.folders()]


# ---------------------------------------------------------------------------------------------- the ledger, the crash


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_file_that_comes_back_after_a_crash_is_still_known(world: SmallWorld, effect: int) -> None:
    world.disk.dies_at = effect
    drop(world, mtime_ns=1_700_000_000_000_000_000)
    start_again(world)
    drop(world, mtime_ns=1_700_000_000_000_000_000)
    assert sorted(where(world)) == ["failed/a-2", "running/a"]
    assert "very file" in (world.root / "failed/a-2/error.md").read_text()


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("state", ["pending", "blocked"])
def test_an_edit_is_not_taken_for_a_copy_after_a_crash(world: SmallWorld, effect: int, state: str) -> None:
    if state == "pending":
        (world.root / "PAUSE").touch()
    drop(world)
    if state == "blocked":
        asks(world)
        (world.root / "PAUSE").touch()
    world.disk.dies_at = effect
    drop(world, SECOND)
    start_again(world)
    assert where(world) == ["pending/a"]
    assert (world.root / "pending/a/task.yaml").read_bytes() == SECOND


def test_a_run_is_not_undone_because_the_ledger_cannot_be_written(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    (world.root / "PAUSE").touch()
    drop(world)
    monkeypatch.setattr("sqlite3.connect", fails)
    (world.root / "PAUSE").unlink()
    world.settle()
    assert where(world) == ["running/a"]
    one = at_work(world)
    world.machine.succeed(one)
    world.machine.end(one, 0)
    world.settle()
    assert where(world) == ["done/a"]


# ---------------------------------------------------------------------------------------------- what was not heard


def answered(world: SmallWorld, text: bytes) -> None:
    world.move_in(next(iter(world.folders("blocked"))) / "answer.md", text)
    world.settle()


def test_an_answer_that_claude_had_no_time_to_read_is_told_again(world: SmallWorld) -> None:
    drop(world)
    asks(world)
    answered(world, b"Postgres\n")
    for _ in range(2):
        is_killed(world)
        assert "Which?" in agent(world).prompt
        assert "Postgres" in agent(world).prompt
    at_work(world)
    is_killed(world)
    assert "Postgres" not in agent(world).prompt, "it has been heard"


@pytest.mark.parametrize("code", [127, 1, 0])
def test_an_answer_that_never_reached_claude_because_it_could_not_be_run_is_told_again(
    world: SmallWorld, code: int
) -> None:
    drop(world, b"instructions: do piece 1 of the work\nretries: 3\n")
    asks(world)
    answered(world, b"Postgres\n")
    one = agent(world)
    if code == 0:
        os.write(one.out, b"(some other program)\n")
    world.machine.end(one, code)
    for _ in range(3):
        world.settle()
        world.pass_time(3600)
    world.settle()
    assert "Which?" in agent(world).prompt
    assert "Postgres" in agent(world).prompt


def test_what_was_written_late_is_told_again_when_it_never_reached_claude_and_the_task_was_edited(
    world: SmallWorld,
) -> None:
    drop(world)
    world.move_in(world.root / "running/a/answer.md", b"Postgres\n")
    world.settle()
    one = at_work(world)
    world.machine.succeed(one)
    world.machine.end(one, 0)
    world.settle()
    assert "Postgres" in agent(world).prompt
    drop(world, SECOND)
    world.machine.end(agent(world), 1)
    world.settle()
    assert "Postgres" in agent(world).prompt
    assert "piece 2" in agent(world).prompt


@pytest.mark.parametrize("late", [True, False])
def test_what_cannot_be_told_because_claude_does_not_start_is_not_tried_for_ever(
    world: SmallWorld, *, late: bool
) -> None:
    drop(world)
    one = at_work(world)
    if late:
        world.move_in(world.root / "running/a/answer.md", b"Postgres\n")
        world.settle()
    else:
        drop(world, SECOND)
    world.machine.succeed(one)
    world.machine.end(one, 0)
    world.settle()
    world.machine.end(agent(world), 1)
    world.settle()
    assert where(world) == ["failed/a"]


def test_an_answer_that_lies_where_a_task_is_started_is_told_at_once(world: SmallWorld) -> None:
    drop(world)
    one = at_work(world)
    world.machine.fail(one, {"error": "overloaded", "api_error_status": 529}, api_error_status=529)
    world.machine.end(one, 1)
    world.settle()
    world.pass_time(25)
    (world.root / "running/a").mkdir()
    world.write(world.root / "running/a/answer.md", b"Postgres\n")
    while not world.machine.alive:
        world.tick()
        world.pass_time(1)
    assert "Postgres" in agent(world).prompt


def test_a_task_that_is_called_off_when_it_has_ended_leaves_the_daemon_at_rest(world: SmallWorld) -> None:
    drop(world)
    one = at_work(world)
    world.machine.succeed(one)
    world.machine.end(one, 0)
    world.settle()
    (world.root / "pending/a").mkdir()
    (world.root / "pending/a/cancel").touch()
    world.settle()
    world.pass_time(200)
    world.settle()
    assert where(world) == ["done/a"]
    assert (world.root / "done/a/late-cancel-1").exists()


def test_a_task_that_was_handed_back_and_succeeds_is_done_though_it_lies_there_already(world: SmallWorld) -> None:
    drop(world)
    one = at_work(world)
    world.machine.succeed(one)
    world.machine.end(one, 0)
    world.settle()
    shutil.copytree(world.root / "done/a", world.root / "pending/a")
    world.tick()
    world.pass_time(10)
    world.settle()
    one = at_work(world)
    world.machine.succeed(one)
    world.machine.end(one, 0)
    world.settle()
    assert where(world) == ["done/a", "done/a-2"]


def test_an_edit_that_claude_had_no_time_to_read_is_told_again(world: SmallWorld) -> None:
    drop(world)
    at_work(world)
    drop(world, SECOND)
    is_killed(world)
    assert "piece 2" in agent(world).prompt
    is_killed(world)
    assert "piece 2" in agent(world).prompt


def test_a_permission_that_claude_had_no_time_to_hear_of_is_told_again(world: SmallWorld) -> None:
    drop(world)
    one = at_work(world)
    world.machine.succeed(one, permission_denials=[{"tool_name": "Bash", "tool_input": {"command": "make"}}])
    world.machine.end(one, 0)
    world.settle()
    answered(world, b"allow\n")
    is_killed(world)
    assert "You may now do" in agent(world).prompt


def test_an_answer_that_claude_had_no_time_to_read_is_not_lost_when_the_task_is_handed_back(world: SmallWorld) -> None:
    drop(world)
    asks(world)
    answered(world, b"Postgres\n")
    world.move(world.root / "running/a", "pending")
    world.settle()
    assert "Postgres" in agent(world).prompt


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_late_answer_reaches_claude_though_the_daemon_dies_while_it_sets_it_aside(
    world: SmallWorld, effect: int
) -> None:
    drop(world)
    world.move_in(world.root / "running/a/answer.md", b"Postgres\n")
    world.disk.dies_at = effect
    asks(world)
    start_again(world)
    answered(world, b"Go on.\n")
    assert "Postgres" in agent(world).prompt


def test_an_answer_that_claude_had_no_time_to_read_is_not_lost_behind_another_one(world: SmallWorld) -> None:
    drop(world)
    asks(world)
    answered(world, b"Postgres\n")
    world.move(world.root / "running/a", "blocked")
    world.settle()
    answered(world, b"but the newest\n")
    assert "Postgres" in agent(world).prompt
    assert "the newest" in agent(world).prompt


def test_words_that_were_thrown_away_meanwhile_do_not_keep_a_task_from_going_on(world: SmallWorld) -> None:
    drop(world)
    world.move_in(world.root / "running/a/answer.md", b"Postgres\n")
    asks(world)
    (world.root / "blocked/a/late-answer-1.md").unlink()
    answered(world, b"Go on.\n")
    assert where(world) == ["running/a"]


# ---------------------------------------------------------------------------------------------- by hand


def test_an_agent_whose_task_was_thrown_away_while_no_daemon_ran_is_stopped(world: SmallWorld) -> None:
    drop(world)
    at_work(world)
    world.service = None
    world.throw_away(world.root / "running/a")
    world.start()
    world.settle()
    assert not world.machine.alive


def test_an_agent_whose_task_is_there_goes_on_with_the_next_daemon(world: SmallWorld) -> None:
    drop(world)
    at_work(world)
    world.service = None
    world.start()
    world.settle()
    assert not world.machine.wrongs
    assert len(world.machine.alive) == 1
    assert where(world) == ["running/a"]


def test_a_task_put_into_running_by_hand_does_not_stay_there_because_it_asks_nothing(world: SmallWorld) -> None:
    drop(world)
    at_work(world)
    world.move(world.root / "running/a", "blocked")
    world.settle()
    world.move(world.root / "blocked/a", "running")
    world.settle()
    assert where(world) == ["blocked/a"]
    assert [one.name for one in world.plan.waiting] == ["a"]
