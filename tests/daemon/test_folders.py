"""A folder as a task: task.yaml or task.md, and what belongs to it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from harness import World, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.watcher]
"""Only events tell what was moved in from what is being written; without them everything counts as the latter."""


SETTLE = 1.0
AT_ONCE = 0.7


def folder(world: World, name: str, text: str = "instructions: work\n", file: str = "task.yaml") -> Path:
    """A task with attachments, made outside the inbox."""
    outside = world.base / f"outside-{name}"
    (outside / "data").mkdir(parents=True)
    (outside / file).write_text(text)
    (outside / "data" / "numbers.csv").write_text("1,2\n")
    return outside


def waits(world: World) -> dict[str, str]:
    """What the daemon lets people know of why something waits."""
    [notice] = (world.home / "state").rglob("notice.json")
    return {one["name"]: one["reason"] for one in json.loads(notice.read_bytes())["waiting"]}


def test_a_folder_that_is_moved_in_is_taken_at_once_and_its_attachments_lie_in_work(world: World) -> None:
    world.start(settle="30")
    folder(world, "report", "---\ntimeout: 5m\n---\nadd it up\n", "task.md").rename(world.root / "report")
    done = world.wait_for("report", "done")
    assert (done / "task.md").read_text().endswith("add it up\n")
    assert (done / "work" / "data" / "numbers.csv").read_text() == "1,2\n"
    assert not (done / "work" / "task.md").exists()
    [call] = world.calls()
    assert call["cwd"].endswith("running/report/work")
    assert "add it up" in call["prompt"]
    assert not (world.root / "report").exists()


def test_a_folder_that_is_copied_in_is_taken_when_all_of_it_has_been_quiet(world: World) -> None:
    (world.root / "PAUSE").touch()
    world.start(settle=str(SETTLE))
    source = folder(world, "slow")
    shutil.copytree(source, world.root / "slow")
    wait_until(lambda: "quiet" in waits(world).get("slow/task.yaml", ""), "nobody is told why it waits")
    last = 0.0
    for number in range(3):
        pause = time.monotonic() + SETTLE / 2
        wait_until(lambda pause=pause: time.monotonic() > pause, "")  # type: ignore[misc]
        # Deep inside, where nobody watches.
        (world.root / "slow" / "data" / f"{number}.csv").write_text("more\n")
        last = time.monotonic()
    folder_taken = world.wait_until_queued("slow")
    assert time.monotonic() - last >= SETTLE - 0.2
    assert {path.name for path in (folder_taken / "work" / "data").iterdir()} == {
        *("numbers.csv", "0.csv", "1.csv", "2.csv")
    }


def test_a_folder_that_was_made_before_its_task_was_put_into_it_does_not_wait_for_the_next_look(world: World) -> None:
    (world.root / "PAUSE").touch()
    daemon = world.start(settle="0.5")
    wait_until((world.root / "STATUS.md").exists, "STATUS.md was never written")
    before = daemon.wakeups()
    (world.root / "later").mkdir()
    wait_until(lambda: daemon.wakeups() > before, "nobody has noticed the folder")
    (world.root / "later" / "task.yaml").write_text("instructions: work\n")
    begun = time.monotonic()
    world.wait_until_queued("later")
    assert time.monotonic() - begun < 10, "the next look of its own would come after 30 s"


def test_a_folder_in_which_a_file_is_still_being_brought_is_waited_for(world: World) -> None:
    world.settings(poll="0.2s")
    world.start()
    shutil.copytree(folder(world, "synced"), world.root / "synced")
    partial = world.root / "synced" / "data" / ".syncthing.big.csv.tmp"
    partial.touch()
    wait_until(lambda: "still being brought" in waits(world).get("synced/task.yaml", ""), "nobody is told why")
    partial.rename(partial.with_name("big.csv"))
    assert (world.wait_for("synced", "done") / "work" / "data" / "big.csv").exists()


def test_what_is_not_taken_is_left_where_it_is_and_said(world: World) -> None:
    world.settings(poll="0.2s")
    daemon = world.start()
    folder(world, "linked").rename(world.root / "linked")
    shutil.rmtree(world.base / "outside-none", ignore_errors=True)
    bare = folder(world, "photos")
    (bare / "task.yaml").unlink()
    bare.rename(world.root / "photos")
    world.wait_for("linked", "done")
    bad = folder(world, "secrets")
    (bad / "data" / "all").symlink_to("/etc")
    bad.rename(world.root / "secrets")
    world.move_in("photo.jpg")
    world.move_in("x.sync-conflict-20261122-063840-2BBAXIU.yaml")
    for said in ("secrets/task.yaml: data/all is a symbolic link", "photos: left alone", "photo.jpg: left alone"):
        daemon.wait_for_log(said)
    daemon.wait_for_log("x.sync-conflict-20261122-063840-2BBAXIU.yaml: the copy that a sync tool made")
    shown = json.loads(world.run("status", "--json").stdout)
    assert {row["name"] for row in shown["left_alone"]} == {
        *("photos", "photo.jpg", "x.sync-conflict-20261122-063840-2BBAXIU.yaml")
    }
    page = (world.root / "STATUS.md").read_text()
    assert "## Left alone" in page
    assert "photo.jpg" in page
    assert "symbolic link" in page
    (world.root / "secrets" / "data" / "all").unlink()
    world.wait_for("secrets", "done")
    assert (world.root / "photos" / "data" / "numbers.csv").exists()
    for name in ("photos:", "photo.jpg:", "secrets/task.yaml: data/all"):
        assert len([line for line in daemon.log.splitlines() if f" {name}" in line]) == 1, daemon.log


def test_with_a_working_dir_the_prompt_says_where_the_attachments_are(world: World) -> None:
    place = world.base / "place"
    place.mkdir()
    world.start()
    folder(world, "there", f"instructions: count\nworking_dir: {place}\n").rename(world.root / "there")
    done = world.wait_for("there", "done")
    [call] = world.calls()
    assert call["cwd"] == str(place)
    assert "running/there/work" in call["prompt"]
    assert any("--add-dir" in one and "running/there/work" in one for one in call["argv"]), call
    assert (done / "work" / "data" / "numbers.csv").exists()


def test_a_folder_whose_task_is_wrong_lies_in_failed_with_all_that_came_with_it(world: World) -> None:
    world.start()
    folder(world, "typo", "promt: x\n").rename(world.root / "typo")
    failed = world.wait_for("typo", "failed")
    assert "did you mean `prompt`?" in (failed / "error.md").read_text()
    assert (failed / "work" / "data" / "numbers.csv").exists()


def test_a_folder_that_is_dropped_again_is_an_edit_and_brings_its_new_files_along(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    world.play([{"wait_for": str(gate)}, {"say": "First."}], [{"say": "Second."}])
    world.start()
    folder(world, "again", "instructions: job\n").rename(world.root / "again")
    world.wait_for("again", "running")
    newer = world.base / "newer"
    (newer / "data").mkdir(parents=True)
    (newer / "task.yaml").write_text("instructions: job and more\n")
    (newer / "data" / "numbers.csv").write_text("3,4\n")
    newer.rename(world.root / "again")
    wait_until(lambda: not (world.root / "again").exists(), lambda: f"it was not taken:\n{world.story('again')}")
    gate.touch()
    done = world.wait_for("again", "done")
    calls = world.calls()
    assert [call["resume"] for call in calls] == [False, True]
    assert "job and more" in calls[1]["prompt"]
    assert "work/attached-1" in calls[1]["prompt"]
    assert (done / "work" / "data" / "numbers.csv").read_text() == "1,2\n", "claude may have changed it"
    assert (done / "work" / "attached-1" / "data" / "numbers.csv").read_text() == "3,4\n"
    assert (done / "task-1.yaml").read_text() == "instructions: job\n"
    assert world.where("again-2") is None


def test_a_folder_that_a_sync_tool_brings_back_is_not_run_again(world: World) -> None:
    world.start()
    source = folder(world, "back")
    shutil.copytree(source, world.base / "copy", symlinks=True)
    source.rename(world.root / "back")
    world.wait_for("back", "done")
    (world.base / "copy").rename(world.root / "back")
    failed = world.wait_for("back-2", "failed")
    assert "taken before" in (failed / "error.md").read_text()
    assert (failed / "work" / "data" / "numbers.csv").exists()
    assert len(world.calls()) == 1


def test_a_crash_between_any_two_steps_of_taking_a_folder_runs_it_once(world: World) -> None:
    # Taken by hand, step by step, as a daemon would have that was killed after each of them.
    (world.root / "PAUSE").touch()
    daemon = world.start()
    for number in range(3):
        folder(world, f"cut{number}", f"instructions: job {number}\n").rename(world.root / f"cut{number}")
        world.wait_until_queued(f"cut{number}")
    daemon.kill()
    for number in range(3):
        queued = world.root / "pending" / f"cut{number}"
        record = json.loads((queued / "record.json").read_bytes())
        del record["next"]
        (queued / "task.yaml").rename(queued / "work" / "task.yaml")
        if number < 2:
            (queued / "work").rename(world.root / f"cut{number}")
        (queued / "record.json").write_text(json.dumps(record))
        if number < 1:
            (queued / "record.json").unlink()
    for ledger in (world.home / "state").rglob("ledger.sqlite"):
        ledger.unlink()  # a daemon that dies there has not written it yet
    (world.root / "PAUSE").unlink()
    world.start()
    for number in range(3):
        done = world.wait_for(f"cut{number}", "done", "failed")
        assert done.parent.name == "done", world.story(done.name)
        assert (done / "work" / "data" / "numbers.csv").exists()
        assert (done / "task.yaml").exists()
        assert len(world.calls(f"job {number}")) == 1
