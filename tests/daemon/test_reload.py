"""SIGHUP: the settings are read again, and everything but the folder takes effect at once."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Daemon, World, alive, wait_until

from dropbox_runner.core.settings import Settings, changes

pytestmark = pytest.mark.watcher
"""What the command line says must be what these tests say."""


def reload(daemon: Daemon, says: str) -> None:
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for_log(says)


def test_more_agents_may_work_at_once_and_one_line_says_what_has_changed(world: World) -> None:
    world.play([{"sleep": 60}])
    daemon = world.start()
    for name in ("x", "y"):
        world.move_in(f"{name}.yaml")
    world.wait_for("x", "running", "pending")
    wait_until(lambda: {world.where("x"), world.where("y")} == {"running", "pending"}, "not one of two")
    pids = {name: world.agent_pid(name) for name in ("x", "y") if world.where(name) == "running"}
    world.settings(max_parallel=2, timeout="1h")
    reload(daemon, "settings read again: max_parallel 1 → 2, timeout none → 1 h\n")
    for name in ("x", "y"):
        world.wait_for(name, "running")
        world.agent_pid(name)
    assert all(alive(pid) for pid in pids.values())
    runs = {name: world.record(name)["runs"][0].get("timeout") for name in ("x", "y")}
    assert [runs[name] for name in pids] == [None], "a run that was under way got another timeout"
    assert sorted(runs.values(), key=str) == [3600.0, None]


def test_options_of_the_command_line_still_win(world: World) -> None:
    daemon = world.start("--max-parallel", "3")
    world.settings(max_parallel=2, poll="7s", settle="9s", answer_settle="9s")
    reload(daemon, "settings read again: poll 30 s → 7 s\n")


def test_settings_that_make_no_sense_change_nothing_and_the_reason_is_said(world: World) -> None:
    daemon = world.start()
    world.settings(max_parallel="many")
    reload(daemon, f"the old ones hold: {world.config}:2:15: max_parallel: ")
    world.move_in("x.yaml")
    world.wait_for("x", "done")
    world.settings()
    reload(daemon, "settings read again: nothing has changed")


def test_another_folder_needs_a_restart(world: World) -> None:
    daemon = world.start()
    other = world.base / "other"
    world.settings(folder=f"'{other}'")
    reload(daemon, f"this daemon goes on with {world.root}; another folder needs a restart")
    assert f"folder {world.root} → {other}" in daemon.log
    world.move_in("x.yaml")
    world.wait_for("x", "done")


def test_a_longer_grace_that_comes_in_time_saves_an_agent(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    world.settings(stop_grace="60s")
    world.play([{"ignore_sigterm": True}, {"say": "Nearly."}, {"wait_for": str(gate)}, {"say": "Done."}])
    daemon = world.start()
    world.move_in("x.yaml")
    pid = world.agent_pid("x")
    wait_until(world.calls, "claude never came up")
    (world.path("x") / "cancel").touch()
    daemon.wait_for_log("stopping run 1")
    world.settings(stop_grace="0.1s")
    reload(daemon, "stop_grace 1 min → 0.1 s")
    world.wait_for("x", "failed")
    assert not alive(pid)


def test_a_reload_while_it_stops_does_not_keep_it(world: World) -> None:
    world.settings(stop_grace="0.5s")
    world.play([{"ignore_sigterm": True}, {"say": "I stay."}, {"sleep": 60}])
    daemon = world.start()
    world.move_in("x.yaml")
    pid = world.agent_pid("x")
    wait_until(world.calls, "claude never came up")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping run 1")
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.wait() == 0
    assert not alive(pid)
    assert world.where("x") == "pending"


def test_of_two_contrary_orders_the_later_one_holds(world: World) -> None:
    world.settings(stop_grace="60s")
    world.play([{"ignore_sigterm": True}, {"say": "I stay."}, {"sleep": 60}])
    daemon = world.start()
    world.move_in("x.yaml")
    pid = world.agent_pid("x")
    wait_until(world.calls, "claude never came up")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_for_log("stopping run 1")
    assert daemon.stop(signal.SIGUSR1) == 0
    assert alive(pid)


@pytest.fixture
def in_a_terminal(world: World) -> Callable[..., tuple[Daemon, int]]:
    def start(*prefix: str) -> tuple[Daemon, int]:
        """Start a daemon in a terminal of its own; return our end of that as well."""
        ours, theirs = pty.openpty()
        command = ["setsid", "--ctty", *prefix, sys.executable, "-m", "dropbox_runner", "run", str(world.root)]
        command += ["--allow-root", f"--claude={world.claude}"]
        process = subprocess.Popen(
            command, env=world.environment, cwd=world.home, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        log = world.base / "none.log"
        log.touch()
        daemon = Daemon(process, log)
        daemon.wait_until_watching(world.home / "state")
        return daemon, ours

    return start


def test_closing_its_terminal_stops_it_and_its_agent_as_ctrl_c_does(
    world: World, in_a_terminal: Callable[..., tuple[Daemon, int]]
) -> None:
    world.play([{"say": "working"}, {"sleep": 60}])
    daemon, terminal = in_a_terminal()
    world.move_in("x.yaml")
    pid = world.agent_pid("x")
    os.close(terminal)
    daemon.wait()
    assert not alive(pid)
    assert world.where("x") == "pending"


def test_under_nohup_a_closed_terminal_means_nothing(
    world: World, in_a_terminal: Callable[..., tuple[Daemon, int]]
) -> None:
    daemon, terminal = in_a_terminal("nohup")
    os.close(terminal)
    world.move_in("x.yaml")
    world.wait_for("x", "done")
    assert daemon.stop() == 0


def test_changes_are_said_in_words() -> None:
    before = Settings()
    after = Settings(daily_budget_usd=2.5, timeout=5400, allowed_args=("--x", "--y"), claude="/bin/claude", settle=0)
    assert changes(before, before) == ()
    assert changes(before, after) == (
        "claude claude → /bin/claude",
        "settle 5 s → 0 s",
        "timeout none → 1 h 30 min",
        "daily_budget_usd none → 2.5",
        "allowed_args none → --x, --y",
    )
