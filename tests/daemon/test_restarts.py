"""Whoever dies, whenever: nothing is started twice, nothing is lost, nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from harness import Steps, World, alive, wait_until

from dropbox_runner.agent.agents import Agents
from dropbox_runner.core.actions import Start
from dropbox_runner.core.plan import Plan
from dropbox_runner.core.seen import Look
from dropbox_runner.core.settings import Settings
from dropbox_runner.daemon.doorbell import Doorbell
from dropbox_runner.daemon.local import Local
from dropbox_runner.daemon.notify import Manager
from dropbox_runner.daemon.service import Service
from dropbox_runner.folder.layout import Layout


def starts(world: World) -> list[bool]:
    """For each call of claude whether it resumed; the first must start, and no other may."""
    return [bool(call["resume"]) for call in world.calls()]


def working(world: World) -> int:
    """Wait until claude works on x; return its process."""
    world.wait_for("x", "running")
    pid = world.agent_pid("x")
    wait_until(world.calls, lambda: f"claude never came up:\n{world.story('x')}")
    return pid


def test_the_daemon_dies_and_the_next_one_adopts_its_agent(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    world.play([{"wait_for": str(gate)}, {"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml")
    pid = working(world)
    first.kill()
    assert alive(pid), "the agent died with the daemon"
    second = world.start()
    second.wait_for_log(f"adopted: pid {pid}")
    assert world.agent_pid("x") == pid
    gate.touch()
    world.wait_for("x", "done")
    assert starts(world) == [False]
    assert world.record("x")["runs"][0]["verdict"] == "succeeded"


def test_a_session_stays_with_the_configuration_that_it_began_with_also_where_there_was_none_of_its_own(
    world: World,
) -> None:
    where = {"bash": 'echo "conf ${CLAUDE_CONFIG_DIR-none}" >> told'}
    world.play([where, {"ask": {"text": "Which?"}}], [where, {"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml")
    world.wait_for_question("x")
    first.stop()
    world.environment["CLAUDE_CONFIG_DIR"] = str(world.base / "another")
    world.start()
    world.answer("x", "this one\n")
    assert (world.wait_for("x", "done") / "work" / "told").read_text() == "conf none\nconf none\n"
    world.move_in("y.yaml")
    world.wait_for_question("y")
    assert (world.path("y") / "work" / "told").read_text() == f"conf {world.base}/another\n"


def test_what_a_run_has_left_behind_is_not_adopted_in_its_place(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    world.play([{"wait_for": str(gate)}, {"spawn": "exec sleep 300"}, {"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml")
    pid = working(world)
    first.kill()
    # As if it had died before it could write down who works there.
    file = world.path("x") / "record.json"
    record = json.loads(file.read_bytes())
    del record["runs"][0]["process"]
    file.write_text(json.dumps(record))
    gate.touch()
    wait_until(lambda: not alive(pid), "the agent never ended")
    second = world.start()
    world.wait_for("x", "done")
    assert "adopted" not in second.log
    assert starts(world) == [False]


def test_an_agent_that_ends_while_no_daemon_runs_is_judged_by_what_it_left(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    world.play([{"wait_for": str(gate)}, {"ask": {"text": "Really?"}}], [{"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml")
    pid = working(world)
    first.kill()
    gate.touch()
    wait_until(lambda: not alive(pid), "the agent never ended")
    world.start()
    world.wait_for("x", "blocked")
    world.answer("x", "yes\n")
    world.wait_for("x", "done")
    assert starts(world) == [False, True]


def test_both_die_as_in_a_reboot_and_the_task_is_resumed_once(world: World) -> None:
    world.play([{"sleep": 60}], [{"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml")
    pid = working(world)
    first.kill()
    os.kill(pid, signal.SIGKILL)
    # Another boot: the same pid may belong to anybody by now. Here it is made to belong to this very test.
    file = world.path("x") / "record.json"
    record = json.loads(file.read_bytes())
    record["runs"][0]["process"] |= {"pid": os.getpid(), "boot": "another-boot"}
    record["runs"][0]["boot"] = "another-boot"
    file.write_text(json.dumps(record))
    world.start()
    world.wait_for("x", "done")
    assert starts(world) == [False, True]
    assert "cut off" in world.calls()[1]["prompt"]


def test_an_agent_that_is_killed_again_and_again_is_resumed_three_times_and_then_a_person_decides(world: World) -> None:
    killed = [[{"say": "working"}, {"kill": "KILL"}]]
    world.play(rules={"go on": killed, "give up": killed})
    world.start("--max-parallel", "2")
    for name, text in (("x", "please go on\n"), ("y", "please give up\n")):
        world.move_in(f"{name}.txt", text)
    folder = world.wait_for_question("x")
    world.wait_for_question("y")
    for text in ("go on", "give up"):
        assert [call["resume"] for call in world.calls(f"please {text}")] == [False, True, True, True]
    asked = (folder / "question.md").read_text()
    assert "cut off 4 times" in asked
    assert "1. Go on in the same session" in asked
    world.play([{"say": "At last."}])
    world.answer("x", "1\n")
    world.answer("y", "2\n")
    world.wait_for("x", "done")
    folder = world.wait_for("y", "failed")
    assert "stopped by your answer" in (folder / "error.md").read_text()
    assert [call["resume"] for call in world.calls("please go on")] == [False, True, True, True, True]
    assert len(world.calls("please give up")) == 4


def test_told_to_stop_it_stops_its_agent_and_the_next_start_goes_on(world: World) -> None:
    world.play([{"bash": "sleep 60"}], [{"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml")
    pid = working(world)
    assert first.stop(signal.SIGTERM) == 0
    assert not alive(pid)
    assert world.where("x") == "pending"
    world.start()
    world.wait_for("x", "done")
    assert starts(world) == [False, True]
    assert world.record("x")["cut_off"] == 0, "a stop is no failure"


def test_told_to_stop_in_the_very_moment_in_which_it_starts_an_agent_it_stops_that_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look that has it started has not seen it running: that must not be taken for "nothing runs"."""
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, world.environment[name])
    world.play([{"sleep": 60}])
    world.move_in("x.yaml")
    layout, local = Layout.of(world.root), world.base
    settings = Settings(claude=str(world.claude), settle=0)

    def stop_before_a_start(_look: Look, planned: Plan, *_: object) -> None:
        if any(isinstance(action, Start) for action in planned.actions):
            service.stop()

    service = Service(
        layout,
        settings,
        Local.at(local),
        Manager({}),
        agents=Agents(),
        read_settings=lambda: settings,
        watching=None,
        bell=Doorbell(),
        show=stop_before_a_start,
    )
    service.run()
    assert world.where("x") == "pending"
    assert world.record("x")["runs"][0]["verdict"] == "stopped"


def test_a_second_ctrl_c_hurries_and_a_stubborn_agent_is_killed(world: World) -> None:
    world.settings(stop_grace="60s")
    world.play([{"ignore_sigterm": True}, {"say": "I stay."}, {"sleep": 60}])
    daemon = world.start()
    world.move_in("x.yaml")
    pid = working(world)
    daemon.process.send_signal(signal.SIGINT)
    daemon.wait_for_log("stopping run 1")
    assert alive(pid)
    assert daemon.stop(signal.SIGINT) == 130
    assert not alive(pid)
    assert world.where("x") == "pending"


def test_an_agent_that_does_not_listen_is_killed_after_its_grace_and_that_is_said_once(world: World) -> None:
    world.settings(stop_grace="0.3s")
    world.play([{"ignore_sigterm": True}, {"sleep": 60}])
    daemon = world.start()
    world.move_in("x.yaml")
    pid = working(world)
    (world.path("x") / "cancel").touch()
    world.wait_for("x", "failed")
    assert not alive(pid)
    assert daemon.log.count("killing it") == 1


def test_handing_over_leaves_the_agent_alone_and_the_next_daemon_goes_on_with_it(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    world.play([{"wait_for": str(gate)}, {"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml")
    pid = working(world)
    assert first.stop(signal.SIGUSR1) == 0
    assert alive(pid)
    assert world.where("x") == "running"
    world.start().wait_for_log("adopted")
    gate.touch()
    world.wait_for("x", "done")
    assert starts(world) == [False]


def test_what_a_run_leaves_behind_is_swept_after_its_end_and_said(world: World, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    world.play(
        [
            {"spawn": f"echo $$ >> {pids}; exec sleep 300"},
            {"spawn": f"trap '' TERM; echo $$ >> {pids}; while :; do sleep 300; done"},
            {"bash": f"while [ $(wc -l < {pids}) -lt 2 ]; do sleep 0.01; done"},
            {"say": "Done."},
        ]
    )
    daemon = world.start()
    world.move_in("x.yaml")
    world.wait_for("x", "done")
    left = [int(pid) for pid in pids.read_text().split()]
    assert len(left) == 2
    assert not [pid for pid in left if alive(pid)]
    daemon.wait_for_log("left processes behind")
    assert len(world.record("x")["runs"][0]["swept"]) >= 2


def test_a_timeout_counts_from_the_start_also_when_the_daemon_was_restarted(world: World, tmp_path: Path) -> None:
    world.play([{"bash": f"sleep 300 & echo $! > {tmp_path}/pid; wait"}], [{"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml", "instructions: work\ntimeout: 2s\n")
    begin = time.monotonic()
    pid = working(world)
    first.kill()
    world.start()
    folder = world.wait_for("x", "failed")
    assert 1.9 < time.monotonic() - begin < 8
    assert json.loads((folder / "result.json").read_bytes())["verdict"] == "timed_out"
    assert "timeout (2 s)" in (folder / "error.md").read_text()
    assert not alive(pid)
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_crash_in_the_middle_of_any_step_is_gone_on_with(world: World) -> None:
    asks: list[Steps] = [[{"ask": {"text": "Well?"}}], [{"say": "Done."}]]
    world.play(rules={"job noted": asks, "job judged": asks})
    daemon = world.start("--max-parallel", "2")
    for name in ("noted", "judged"):
        world.move_in(f"{name}.txt", f"job {name}\n")
    for name in ("noted", "judged"):
        world.wait_for_question(name)
    (world.root / "PAUSE").touch()
    for name in ("moved", "begun"):
        world.move_in(f"{name}.txt", f"job {name}\n")
        world.wait_until_queued(name)
    daemon.kill()

    # The answer was noted in the record, but nothing has been filed and moved.
    folder = world.path("noted")
    record = world.record("noted") | {"rounds": 1, "next": {"why": "answer", "round": 1, "answers": ["answer.md"]}}
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "answer.md").write_text("yes\n")
    # The run was judged, but the task has not been moved.
    world.path("judged").rename(world.root / "running" / "judged")
    # The task was moved to be run, but nothing has been started.
    world.path("moved").rename(world.root / "running" / "moved")
    # A folder with a record was made of a drop, but the drop has not been moved.
    (world.path("begun") / "task.txt").unlink()
    world.move_in("begun.txt", "job begun\n")
    # Not even the record had been written.
    (world.root / "pending" / "bare").mkdir()
    world.move_in("bare.txt", "job bare\n")
    (world.root / "PAUSE").unlink()

    world.start("--max-parallel", "2")
    world.wait_for("judged", "blocked")
    world.answer("judged", "yes\n")
    for name in ("noted", "judged", "moved", "begun", "bare"):
        folder = world.wait_for(name, "done")
        assert (folder / "task.txt").read_text() == f"job {name}\n"
        calls = world.calls(f"job {name}")
        assert [call["resume"] for call in calls] == ([False, True] if name in ("noted", "judged") else [False])
        assert len(calls) == 1 or "yes" in calls[1]["prompt"]
    assert [path.name for path in (world.root / "failed").iterdir()] == []
    assert len(list((world.root / "done").iterdir())) == 5


def test_after_everything_is_done_a_second_recovery_changes_nothing(world: World) -> None:
    world.play([{"ask": {"text": "Well?"}}], rules={"quick": [[{"say": "Done."}]]})
    daemon = world.start()
    world.move_in("x.yaml")
    world.move_in("quick.txt", "quick\n")
    world.wait_for("x", "blocked")
    world.wait_for("quick", "done")

    def told() -> bool:
        page = (world.root / "STATUS.md").read_text()
        return "quick: succeeded" in page and "**x**: Well?" in page

    wait_until(told, "STATUS.md is not up to date")
    daemon.kill()

    def everything() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in world.root.rglob("*") if path.is_file()
        }

    before = everything()
    second = world.start()
    assert second.stop() == 0
    assert everything() == before
    assert len(second.log.splitlines()) == 2, second.log


def test_ctrl_c_in_the_daemons_terminal_reaches_the_daemon_alone(world: World) -> None:
    world.play([{"sleep": 60}], [{"say": "Done."}])
    typed = world.base / "typed"
    os.mkfifo(typed)
    # `script` gives it a terminal of its own, as a person has one; what is typed there goes to the foreground group.
    in_a_terminal = ("sh", "-c", f'exec script --quiet --return --command "$*" /dev/null < {typed}', "sh")
    daemon = world.launch(prefix=in_a_terminal)
    with typed.open("wb", buffering=0) as keyboard:
        daemon.wait_for_log("watching")
        world.move_in("x.yaml")
        pid = working(world)
        keyboard.write(b"\x03")
        assert daemon.wait() == 130
    assert not alive(pid)
    assert "stopping run 1 (the daemon was told to stop)" in daemon.log
    assert world.where("x") == "pending"
    assert world.record("x")["runs"][0]["exit_code"] == 143, "SIGTERM from the daemon, not SIGINT from the terminal"
    world.start()
    world.wait_for("x", "done")
    assert starts(world) == [False, True]
