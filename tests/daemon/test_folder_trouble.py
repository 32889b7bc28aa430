"""The folder goes away, is replaced, taken over, or holds what this version cannot read: nothing is lost by it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from harness import World, alive, wait_until

pytestmark = pytest.mark.slow

Json = dict[str, Any]


def working(world: World, task: str = "x") -> int:
    pid = world.agent_pid(task)
    wait_until(world.calls, lambda: f"claude never came up:\n{world.story(task)}")
    return pid


def rewrite(file: Path, **changes: object) -> None:
    temp = file.with_name(".changed.tmp")
    temp.write_text(json.dumps(json.loads(file.read_bytes()) | changes))
    temp.replace(file)


def test_a_folder_whose_disk_is_away_calls_nothing_off_and_goes_on_when_it_is_back(
    world: World, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    world.play([{"wait_for": str(gate)}, {"say": "Done."}])
    daemon = world.start("--poll", "0.1")
    world.move_in("x.yaml")
    pid = working(world)
    away = world.root.rename(world.base / "away")
    daemon.wait_for_log("the folder cannot be read, nothing is done until it can")
    world.root.mkdir()
    daemon.wait_for_log("another folder lies in its place (is its disk mounted?)")
    assert alive(pid)
    assert list(world.root.iterdir()) == []
    world.root.rmdir()
    away.rename(world.root)
    daemon.wait_for_log("the folder can be read again")
    gate.touch()
    world.wait_for("x", "done")
    assert len(world.calls()) == 1


def test_a_daemon_that_is_started_before_its_disk_is_mounted_waits_for_it(world: World) -> None:
    world.play([{"ask": {"text": "Well?"}}], [{"say": "Done."}])
    world.start().stop()
    away = world.root.rename(world.base / "away")
    daemon = world.launch()
    daemon.wait_for_log("was run here before and is away (is its disk mounted?); waiting for it")
    assert not world.root.exists(), "nothing is made where the disk will be"
    away.rename(world.root)
    world.move_in("x.yaml")
    world.wait_for("x", "blocked")
    assert "is there again" in daemon.log


def test_a_state_folder_that_was_deleted_on_another_device_is_made_again(world: World) -> None:
    world.play([{"say": "Done."}])
    world.start("--poll", "0.1")
    (world.root / "done").rmdir()
    wait_until((world.root / "done").is_dir, "done/ was never made again")
    world.move_in("x.yaml")
    world.wait_for("x", "done")


def test_a_daemon_whose_folder_another_machine_has_taken_over_ends_its_agents_and_leaves(world: World) -> None:
    world.play([{"sleep": 60}])
    daemon = world.start("--poll", "0.1")
    world.move_in("x.yaml")
    pid = working(world)
    rewrite(world.root / ".dropbox-runner" / "owner.json", id="another", host="laptop")
    assert daemon.wait() == 78
    assert "taken over by laptop" in daemon.log
    assert not alive(pid)
    assert world.where("x") == "running", "the folder is the other machine's now"
    again = world.launch()
    assert again.wait() == 78
    assert "is run by laptop" in again.log


def test_the_corner_of_this_machine_is_made_again_when_it_was_cleared_away(world: World) -> None:
    world.play([{"ask": {"text": "Well?"}}], [{"say": "Done."}])
    first = world.start("--poll", "0.1")
    shutil.rmtree(world.home / "state")
    first.wait_for_log("was cleared away, and has been made again")
    world.move_in("x.yaml")
    world.wait_for_question("x")
    assert first.stop() == 0
    world.start()
    world.answer("x", "yes\n")
    world.wait_for("x", "done")


def test_agents_that_outlived_their_daemon_are_ended_when_another_machine_has_taken_the_folder_over_meanwhile(
    world: World,
) -> None:
    world.play([{"sleep": 60}])
    first = world.start()
    world.move_in("x.yaml")
    pid = working(world)
    first.kill()
    world.environment["XDG_STATE_HOME"] = str(world.home / "elsewhere")
    assert world.launch().wait() == 78
    assert alive(pid), "whoever is no owner, and has not started it, leaves it alone"
    world.environment["XDG_STATE_HOME"] = str(world.home / "state")
    rewrite(world.root / ".dropbox-runner" / "owner.json", id="another", host="laptop")
    second = world.launch()
    assert second.wait() == 78
    assert "is run by laptop" in second.log
    assert not alive(pid), "both machines work on it"


@pytest.mark.parametrize(
    "process",
    [
        {"pid": 0, "started": 1, "boot": "b"},
        {"pid": -1, "started": 1, "boot": "b"},
        {"pid": "init", "started": 1, "boot": "b"},
        {},
        "4711",
        None,
    ],
    ids=json.dumps,
)
def test_an_identity_that_makes_no_sense_is_never_signalled_and_the_mark_finds_the_agent(
    world: World, tmp_path: Path, process: object
) -> None:
    gate = tmp_path / "gate"
    world.play([{"wait_for": str(gate)}, {"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml")
    pid = working(world)
    first.kill()
    file = world.path("x") / "record.json"
    runs: list[Json] = json.loads(file.read_bytes())["runs"]
    rewrite(file, runs=[runs[0] | {"process": process}])
    world.start().wait_for_log(f"adopted: pid {pid}")
    (world.path("x") / "cancel").touch()
    world.wait_for("x", "failed")
    assert not alive(pid)
    assert len(world.calls()) == 1


def test_a_process_that_has_got_the_pid_of_an_agent_is_left_alone(world: World) -> None:
    world.play([{"sleep": 60}], [{"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml")
    working(world)
    first.kill()
    somebody = world.bystander()
    file = world.path("x") / "record.json"
    runs: list[Json] = json.loads(file.read_bytes())["runs"]
    old = runs[0]["process"]["pid"]
    rewrite(file, runs=[runs[0] | {"process": runs[0]["process"] | {"pid": somebody}}])
    world.start()
    world.wait_for("x", "done")
    assert alive(somebody)
    assert not alive(old), "its own agent carries its mark, and was swept before the session went on"
    assert [bool(call["resume"]) for call in world.calls()] == [False, True]


def test_a_broken_record_puts_its_task_aside_ends_what_works_for_it_and_touches_nothing_else(world: World) -> None:
    world.play([{"sleep": 60}])
    first = world.start("--max-parallel", "2")
    world.move_in("x.yaml")
    world.move_in("y.yaml")
    broken, fine = world.agent_pid("x"), world.agent_pid("y")
    wait_until(lambda: len(world.calls()) == 2, "the agents never came up")
    first.kill()
    (world.path("x") / "record.json").write_bytes(b'{"version": 1, "id": ')
    second = world.start("--max-parallel", "2")
    folder = world.wait_for("x", "failed")
    assert "put aside" in (folder / "error.md").read_text()
    assert (folder / "record.json").read_bytes() == b'{"version": 1, "id": '
    assert (folder / "task.yaml").exists()
    assert not alive(broken)
    assert alive(fine)
    second.stop(signal.SIGUSR1)
    assert world.where("y") == "running"


def test_a_record_of_a_newer_version_is_left_where_it_is_and_goes_on_after_the_upgrade(world: World) -> None:
    world.play([{"say": "Done."}])
    (world.root / "PAUSE").touch()
    first = world.start()
    world.move_in("x.yaml")
    file = world.wait_until_queued("x") / "record.json"
    first.stop()
    before = file.read_bytes()
    rewrite(file, version=2, next={"why": "teleport"})
    newer = file.read_bytes()
    (world.root / "PAUSE").unlink()
    second = world.start()
    second.wait_for_log("written by a newer version of dropbox-runner (record version 2")
    assert world.where("x") == "pending"
    assert "upgrade dropbox-runner" in world.run("status", str(world.root)).stdout
    assert file.read_bytes() == newer
    second.stop()
    file.write_bytes(before)
    world.start()
    world.wait_for("x", "done")


def test_what_a_newer_version_wrote_beside_what_we_know_is_still_there_at_the_end(world: World) -> None:
    world.play([{"say": "Done."}])
    (world.root / "PAUSE").touch()
    first = world.start()
    world.move_in("x.yaml")
    file = world.wait_until_queued("x") / "record.json"
    first.stop()
    rewrite(file, version=2, hologram={"a": [1, None]})
    (world.root / "PAUSE").unlink()
    world.start()
    world.wait_for("x", "done")
    assert (world.record("x")["version"], world.record("x")["hologram"]) == (2, {"a": [1, None]})


def test_a_whole_folder_copied_by_hand_runs_nothing_until_told_to(world: World) -> None:
    world.play([{"say": "Done."}])
    (world.root / "PAUSE").touch()
    first = world.start()
    world.move_in("x.yaml")
    world.wait_until_queued("x")
    first.stop()
    shutil.rmtree(world.root / ".dropbox-runner")
    (world.root / "PAUSE").unlink()
    (world.root / ".dropbox-runner").mkdir()
    refused = world.launch()
    assert refused.wait() == 78
    assert "it may be a copy" in refused.log
    assert world.calls() == []
