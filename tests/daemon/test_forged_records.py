"""A record that somebody else has written into the folder: it may say what it likes, it opens nothing."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from harness import Daemon, World, wait_until

pytestmark = pytest.mark.slow

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
RUN = {"number": 1, "id": "r", "why": "start", "resumed": False, "started_at": "-", "steady": 1.0, "boot": BOOT}


def forge(world: World, state: str, name: str, **fields: Any) -> Path:
    """Lay a task's folder into a state, as whoever shares the folder can."""
    folder = world.root / state / name
    folder.mkdir(mode=0o700)
    (folder / "task.txt").write_text(f"work of {name}\n")
    record: dict[str, Any] = {"id": f"id-{name}", "name": name, "dropped": {"file": f"{name}.txt"}, "taken_at": "-"}
    record["session_id"] = str(uuid.uuid4())
    (folder / "record.json").write_text(json.dumps(record | {"next": {"why": "start"}} | fields))
    return folder


def test_no_name_in_a_record_reaches_a_file_outside_of_the_tasks_folder(world: World) -> None:
    home = world.home / "documents"
    home.mkdir()
    thesis = home / "thesis.txt"
    thesis.write_text("years of work")
    forge(world, "pending", "reads", late=["../../../home/documents/thesis.txt"])
    forge(world, "pending", "moves", next={"why": "answer", "round": 1, "answers": [str(thesis)]})
    forge(world, "running", "removes", next=None, session_seen=True, runs=[RUN | {"id": str(home)}])
    world.move_in("fine.txt", "job fine\n")
    world.start()
    world.wait_for("fine", "done")
    for name in ("reads", "moves", "removes"):
        folder = world.wait_for(name, "failed")
        assert "no plain name" in (folder / "error.md").read_text()
    assert thesis.read_text() == "years of work"
    assert len(world.calls()) == 1, "only what was dropped has been run"


def test_numbers_and_times_that_nobody_can_reckon_with_break_nothing(world: World) -> None:
    forge(world, "pending", "late", not_before=1e300)
    forge(world, "blocked", "endless", throttled_since=float("inf"))
    forge(world, "pending", "costly", runs=[RUN | {"verdict": "failed", "cost_usd": float("nan")}])
    forge(world, "blocked", "odd", next=None, taken_at="\x1b]0;yesterday\x07", history=[{"at": "\x1b[2J", "text": "x"}])
    forge(world, "running", "undated", next=None, runs=[RUN | {"started_at": "long ago"}])
    world.move_in("fine.txt", "job fine\n")
    world.start()
    world.wait_for("fine", "done")
    for name in ("late", "endless", "costly"):
        world.wait_for(name, "failed")
    status, show = world.run("status", str(world.root)), world.run("show", "--folder", str(world.root), "odd")
    assert status.returncode == show.returncode == 0, status.stderr + show.stderr
    assert "\x1b" not in status.stdout + show.stdout


def test_a_record_does_not_widen_what_the_settings_allow(world: World) -> None:
    code = world.home / "code"
    code.mkdir()
    world.settings(permission_mode="acceptEdits", on_denial="fail", allowed_working_dirs="[~/code]")
    evil = world.root / "evil"
    evil.mkdir()
    forge(world, "pending", "elsewhere", working_dir="/etc", session_seen=True)
    forge(world, "pending", "configured", config_dir=str(evil))
    forge(world, "pending", "granted", rules=["Bash"], working_dir=str(code))
    world.start()
    elsewhere, configured = world.wait_for("elsewhere", "failed"), world.wait_for("configured", "failed")
    assert "allowed_working_dirs" in (elsewhere / "error.md").read_text()
    assert "CLAUDE_CONFIG_DIR" in (configured / "error.md").read_text()
    world.wait_for("granted", "done")
    [call] = world.calls()
    assert "--allowedTools=Bash" not in call["argv"]


# ---------------------------------------------------------------------------------------------- what lies beside it


def test_no_link_beside_a_task_lets_claude_write_or_work_somewhere_else(world: World) -> None:
    profile, project = world.home / ".profile", world.home / "project"
    profile.write_text("mine\n")
    project.mkdir()
    (forge(world, "pending", "writes") / "run-1.jsonl").symlink_to(profile)
    (forge(world, "pending", "works") / "work").symlink_to(project)
    world.play([{"bash": "echo x > made-here; true"}, {"say": "Done."}])
    daemon = world.start()
    works = world.wait_for("works", "failed")
    assert "work/ is a symbolic link" in (works / "error.md").read_text()
    daemon.wait_for_log("run-1.jsonl")
    world.move_in("fine.txt", "job fine\n")
    world.wait_for("fine", "done")
    assert world.where("writes") == "pending"
    said = "run-1.jsonl is a symbolic link"
    # Not at every moment: while it is being tried again it does not wait.
    wait_until(lambda: said in world.run("status", str(world.root)).stdout, "status does not say why it waits")
    assert profile.read_text() == "mine\n"
    assert list(project.iterdir()) == []


def test_a_pipe_in_place_of_a_log_keeps_nobody_waiting(world: World) -> None:
    folder = forge(world, "pending", "waits")
    os.mkfifo(folder / "run-1.stderr")
    pipe = "cd $DROPBOX_RUNNER_TASK_DIR && rm run-1.jsonl run-1.stderr && mkfifo run-1.jsonl run-1.stderr; true"
    world.teach("job pipe", [{"bash": pipe}, {"say": "All done."}], [{"say": "Done again."}])
    daemon = world.start()
    daemon.wait_for_log("run-1.stderr")
    world.move_in("pipe.txt", "job pipe\n")
    world.move_in("fine.txt", "job fine\n")
    world.wait_for("fine", "done")
    world.wait_for("pipe", "done")
    assert world.record("pipe")["runs"][0]["verdict"] == "interrupted", "nobody knows how the first one ended"


def test_no_link_in_place_of_one_of_our_folders_has_somebodys_files_taken_for_tasks(world: World) -> None:
    documents = world.home / "documents"
    (documents / "thesis").mkdir(parents=True)
    pending = world.root / "pending"
    pending.rmdir()
    pending.symlink_to(documents)
    refused = world.launch()
    assert refused.wait() == 78
    assert f"{pending} is a symbolic link" in refused.log
    pending.unlink()
    pending.mkdir(mode=0o700)
    daemon = world.start("--poll", "0.2")
    pending.rmdir()
    pending.symlink_to(documents)
    daemon.wait_for_log(f"nothing is done until it can: {pending}: it is a symbolic link")
    pending.unlink()
    world.move_in("fine.txt", "job fine\n")
    world.wait_for("fine", "done")
    assert [path.name for path in documents.rglob("*")] == ["thesis"]


def test_a_question_without_end_leaves_room_for_the_others(world: World, daemon: Daemon) -> None:
    world.play([{"ask": {"text": "Why? " * 10_000}}])
    world.move_in("long.txt", "work\n")
    folder = world.wait_for_question("long")
    said = world.run("status", str(world.root)).stdout
    assert "Why?" in said
    assert "question.md" in said
    assert len(said) < 4000
    assert len((folder / "question.md").read_text()) > 40_000
