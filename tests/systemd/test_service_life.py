"""The service in a real `systemd --user`: whatever is done to the daemon, no work is lost or done twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from harness import World, alive, wait_until
from usermanager import UNIT, UserManager

pytestmark = pytest.mark.systemd


def starts(world: World) -> list[bool]:
    """For each call of claude whether it resumed; the first must start, and no other may."""
    return [bool(call["resume"]) for call in world.calls()]


@pytest.fixture
def gate(world: World, tmp_path: Path) -> Path:
    """The file that claude waits for, in its first run, before it is done."""
    gate = tmp_path / "gate"
    world.play([{"say": "working"}, {"wait_for": str(gate)}, {"say": "Done."}], [{"say": "Done."}])
    return gate


def working(world: World, manager: UserManager) -> int:
    """Drop a task, and return the process that works on it."""
    world.move_in("x.yaml")
    wait_until(lambda: world.where("x") == "running", lambda: f"x was never started:\n{manager.story()}")
    pid = world.agent_pid("x")
    wait_until(world.calls, "claude never came up")
    return pid


def done(world: World, manager: UserManager) -> None:
    wait_until(lambda: world.where("x") == "done", lambda: f"x was never done:\n{manager.story()}")


def test_it_counts_as_started_when_it_has_looked_and_says_what_is_going_on(
    world: World, manager: UserManager, tmp_path: Path
) -> None:
    manager.install()
    manager.systemctl("stop", UNIT)
    command = manager.show("ExecStart").partition("argv[]=")[2].partition(" ;")[0]
    late = f"until test -e {tmp_path}/look; do sleep 0.05; done; exec {command}"
    manager.configure("ExecStart=", f'ExecStart=/bin/sh -c "{late}"')
    manager.systemctl("start", "--no-block", UNIT)
    manager.wait_for("ActiveState", "activating")
    assert manager.show("ActiveState") == "activating"
    (tmp_path / "look").touch()
    manager.wait_for("ActiveState", "active")
    assert manager.show("StatusText") == "nothing to do"
    (world.root / "PAUSE").touch()
    world.move_in("x.yaml")
    manager.wait_for("StatusText", "1 pending; paused: the file PAUSE lies in the folder")


def test_a_restart_leaves_the_agent_alone_and_the_new_daemon_adopts_it(
    world: World, manager: UserManager, gate: Path
) -> None:
    manager.install()
    agent, before = working(world, manager), manager.pid()
    manager.systemctl("restart", UNIT)
    assert manager.pid() not in (0, before)
    manager.wait_for_log(f"adopted: pid {agent}")
    assert alive(agent)
    gate.touch()
    done(world, manager)
    assert starts(world) == [False]


def test_a_stop_ends_the_agent_and_the_next_start_resumes_its_task(
    world: World, manager: UserManager, gate: Path
) -> None:
    manager.install()
    agent = working(world, manager)
    manager.systemctl("stop", UNIT)
    assert not alive(agent)
    assert world.where("x") == "pending"
    assert manager.show("Result") == "success"
    manager.systemctl("start", UNIT)
    done(world, manager)
    assert starts(world) == [False, True]


def test_a_daemon_that_was_killed_is_started_again_and_adopts_its_agent(
    world: World, manager: UserManager, gate: Path
) -> None:
    manager.install()
    agent, before = working(world, manager), manager.pid()
    os.kill(before, signal.SIGKILL)
    manager.wait_for_another(before)
    manager.wait_for_log(f"adopted: pid {agent}")
    gate.touch()
    done(world, manager)
    assert starts(world) == [False]


def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_the_next_one_adopts_its_agent(
    world: World, manager: UserManager, gate: Path
) -> None:
    manager.configure("WatchdogSec=2", "RestartSec=100ms", "TimeoutAbortSec=5")
    manager.install()
    agent, before = working(world, manager), manager.pid()
    os.kill(before, signal.SIGSTOP)
    manager.wait_for_another(before)
    assert "Current thread" in manager.said(), "the log does not say where it hung"
    manager.wait_for_log(f"adopted: pid {agent}")
    assert alive(agent)
    gate.touch()
    done(world, manager)
    assert len(world.calls()) == len({call["session_id"] for call in world.calls()}), "something was started twice"


def test_a_daemon_at_rest_is_left_alone_by_the_watchdog(world: World, manager: UserManager) -> None:
    manager.configure("WatchdogSec=1")
    manager.install()
    before = manager.pid()
    moments: set[str] = set()

    def fed() -> bool:
        moments.add(manager.show("WatchdogTimestampMonotonic"))
        return len(moments) > 5

    wait_until(fed, "the watchdog was never fed")
    assert manager.pid() == before
    assert manager.show("NRestarts") == "0"


def test_a_reload_takes_the_new_settings_and_refuses_bad_ones(world: World, manager: UserManager, gate: Path) -> None:
    manager.install()
    before = manager.pid()
    working(world, manager)
    world.move_in("y.yaml")
    world.wait_until_queued("y")
    world.settings(max_parallel="none at all")
    manager.systemctl("reload", UNIT)
    manager.wait_for("StatusText", "the old ones hold")
    assert "config.yaml:2" in manager.show("StatusText")
    world.settings(max_parallel=2)
    manager.systemctl("reload", UNIT)
    manager.wait_for_log("settings read again: max_parallel 1 → 2")
    manager.wait_for("StatusText", "2 running")
    manager.wait_for("ActiveState", "active")
    assert "old ones" not in manager.show("StatusText")
    assert manager.pid() == before
    gate.touch()
    done(world, manager)


def test_agents_get_the_grace_of_the_settings_whatever_systemd_allows_for_a_stop(
    world: World, manager: UserManager
) -> None:
    world.settings(stop_grace="4s")
    world.play([{"ignore_sigterm": True}, {"say": "I stay."}, {"sleep": 60}])
    manager.configure("TimeoutStopSec=1")
    manager.install()
    agent = working(world, manager)
    manager.systemctl("stop", UNIT)
    assert manager.show("Result") == "success", manager.story()
    assert not alive(agent)
    assert world.where("x") == "pending"


def test_after_a_log_out_tasks_go_on_with_the_next_log_in(world: World, manager: UserManager, gate: Path) -> None:
    manager.install()
    agent = working(world, manager)
    manager.exit()
    assert not alive(agent)
    assert world.where("x") == "pending"
    manager.start()
    done(world, manager)
    assert starts(world) == [False, True]


def test_settings_that_are_not_fit_are_not_tried_again_and_again(world: World, manager: UserManager) -> None:
    manager.install()
    world.settings(max_parallel=0)
    assert manager.inside("systemctl", "--user", "restart", UNIT).returncode != 0
    assert manager.show("ActiveState") == "failed"
    assert manager.show("ExecMainStatus") == "78"
    assert manager.show("NRestarts") == "0"
    said = manager.dropbox_runner("service", "status")
    assert said.returncode == 1
    assert "BAD  service: failed (exit-code" in said.stdout
    world.settings()
    manager.systemctl("start", UNIT)


def test_a_crash_in_a_loop_comes_to_an_end_and_costs_nothing(world: World, manager: UserManager) -> None:
    manager.configure("RestartSec=10ms", unit=("StartLimitBurst=3",))
    manager.install()
    (world.root / "PAUSE").touch()
    world.move_in("x.yaml")
    world.wait_until_queued("x")
    [needed] = (world.home / "state").rglob("bin")
    manager.systemctl("stop", UNIT)
    aside = needed.rename(needed.with_suffix(".aside"))
    needed.touch()  # the daemon wants a folder here
    manager.inside("systemctl", "--user", "start", UNIT)
    manager.wait_for("ActiveState", "failed")
    said = manager.dropbox_runner("service", "status").stdout
    assert f"systemctl --user reset-failed {UNIT}; systemctl --user restart {UNIT}" in said, said
    needed.unlink()
    aside.rename(needed)
    (world.root / "PAUSE").unlink()
    manager.systemctl("reset-failed", UNIT)
    manager.systemctl("start", UNIT)
    done(world, manager)
    assert starts(world) == [False]


def test_systemd_finds_nothing_to_complain_of_in_the_unit(world: World, manager: UserManager) -> None:
    manager.install()
    unit = world.home / "config/systemd/user" / UNIT
    said = manager.inside("systemd-analyze", "--user", "verify", str(unit))
    assert said.returncode == 0
    assert UNIT not in said.stderr, said.stderr


def test_no_other_process_of_this_machine_is_touched_by_these_tests(world: World) -> None:
    """A user manager takes what it finds in its own cgroup for its own, and moves it."""
    before = Path("/proc/self/cgroup").read_text()
    manager = UserManager(world)
    try:
        manager.start()
        manager.install()
        assert "/dropbox-runner-test" in Path(f"/proc/{manager.pid()}/cgroup").read_text()
        assert Path("/proc/self/cgroup").read_text() == before
    finally:
        manager.end()
