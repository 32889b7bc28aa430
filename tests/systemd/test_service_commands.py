"""`service install`, `uninstall`, `status` and `doctor`, as a user calls them beside a real `systemd --user`."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import World, alive, wait_until
from usermanager import UNIT, UserManager

pytestmark = pytest.mark.systemd


@pytest.fixture
def unit(world: World) -> Path:
    return world.home / "config/systemd/user" / UNIT


@pytest.mark.parametrize("name", ["my inbox", "50% off", '$HOME "x"', "it's \\x41 ;", "späße", "-dash", "%h"])
def test_install_run_uninstall(world: World, manager: UserManager, unit: Path, name: str) -> None:
    world.root = world.base / name
    assert manager.dropbox_runner("init", str(world.root)).returncode == 0
    said = manager.install("--max-parallel=2")
    assert f"{UNIT} is installed and runs {world.root}" in said
    world.move_in("x.yaml")
    wait_until(lambda: world.where("x") == "done", lambda: f"x was never done:\n{manager.story()}")
    assert "up to 2 agents at a time" in manager.said()
    assert manager.show("UnitFileState") == "enabled"

    done = manager.dropbox_runner("service", "uninstall")
    assert done.returncode == 0, done.stderr
    assert not unit.exists()
    assert manager.show("LoadState") == "not-found" or manager.pid() == 0
    assert not (unit.parent / "default.target.wants" / UNIT).is_symlink()
    assert world.where("x") == "done"
    again = manager.dropbox_runner("service", "uninstall")
    assert again.returncode == 1
    assert again.stderr == f"dropbox-runner: there is no service: {unit} is not there.\n"


def test_installed_again_it_runs_with_the_new_options_and_agents_go_on(
    world: World, manager: UserManager, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    world.play([{"wait_for": str(gate)}, {"say": "Done."}])
    manager.install()
    world.move_in("x.yaml")
    wait_until(lambda: world.where("x") == "running", "x was never started")
    agent = world.agent_pid("x")
    manager.install("--max-parallel=3")
    assert "up to 3 agents at a time" in manager.said()
    manager.wait_for_log(f"adopted: pid {agent}")
    assert alive(agent)
    gate.touch()
    wait_until(lambda: world.where("x") == "done", "x was never done")
    assert len(world.calls()) == 1


def test_agents_find_what_the_user_finds_in_a_terminal(world: World, manager: UserManager, tmp_path: Path) -> None:
    tools = tmp_path / "my tools"
    tools.mkdir()
    world.environment["PATH"] = f"{tools}:relative:{world.environment['PATH']}"
    seen = tmp_path / "seen"
    world.play([{"bash": f"printenv PATH > {seen}"}, {"say": "Done."}])
    manager.install()
    world.move_in("x.yaml")
    wait_until(lambda: world.where("x") == "done", manager.story)
    path = seen.read_text().strip().split(":")
    assert str(tools) in path
    assert str(world.claude.parent) in path
    assert str(world.home / ".local/bin") in path
    assert "relative" not in path


def test_a_unit_that_is_not_ours_is_not_touched(world: World, manager: UserManager, unit: Path) -> None:
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    for command in (("install", str(world.root), "--allow-root"), ("uninstall",)):
        said = manager.dropbox_runner("service", *command)
        assert said.returncode == 78
        assert f"{unit} is" in said.stderr
        assert "nothing was changed" in said.stderr
    assert unit.read_text() == "[Service]\nExecStart=/bin/true\n"


def test_a_folder_that_a_daemon_in_a_terminal_runs_is_left_to_that(
    world: World, manager: UserManager, unit: Path
) -> None:
    daemon = world.start()
    said = manager.dropbox_runner("service", "install", str(world.root), "--allow-root")
    assert said.returncode == 1
    assert f"(pid {daemon.pid}). Stop that one first." in said.stderr
    assert not unit.exists()


def test_a_service_that_does_not_start_is_said_with_the_reason(world: World, manager: UserManager) -> None:
    manager.configure("ExecStart=", "ExecStart=/bin/false")
    said = manager.dropbox_runner("service", "install", str(world.root), "--allow-root")
    assert said.returncode == 1
    assert "was installed, but does not start: Job for dropbox-runner.service failed" in said.stderr


def test_status_and_doctor_say_how_it_is_and_what_to_do(world: World, manager: UserManager) -> None:
    before = manager.dropbox_runner("service", "status")
    assert before.stdout == (
        "ok   service: not installed\n       → to have it started by itself: dropbox-runner service install\n"
    )
    assert "lingering: off" in manager.install()
    off = manager.dropbox_runner("service", "status")
    assert off.returncode == 1
    assert f"ok   service: runs (pid {manager.pid()}, since " in off.stdout
    assert "): nothing to do\n" in off.stdout
    assert "BAD  lingering: off; the service ends when you log out" in off.stdout
    assert "→ loginctl enable-linger root" in off.stdout
    manager.inside("touch", "/var/lib/systemd/linger/root")
    on = manager.dropbox_runner("service", "status")
    assert on.returncode == 0, on.stdout
    assert "ok   lingering: on" in on.stdout
    assert "lingering: on" in manager.dropbox_runner("doctor").stdout
    assert "service: runs (pid" in manager.dropbox_runner("doctor").stdout
    manager.systemctl("stop", UNIT)
    stopped = manager.dropbox_runner("service", "status")
    assert "ok   service: stopped\n       → systemctl --user restart dropbox-runner.service\n" in stopped.stdout
    manager.systemctl("disable", UNIT)
    assert "BAD  service: does not start by itself (not enabled)" in manager.dropbox_runner("service", "status").stdout


def test_a_key_that_only_the_shell_knows_is_named(world: World, manager: UserManager) -> None:
    world.environment["ANTHROPIC_API_KEY"] = "k"
    said = manager.install()
    assert "ANTHROPIC_API_KEY: set in this shell, but services do not get it" in said
    manager.systemctl("set-environment", "ANTHROPIC_API_KEY=k")
    assert "ANTHROPIC_API_KEY" not in manager.install()


def test_a_manager_that_looks_for_units_elsewhere_is_named_as_the_reason(world: World, manager: UserManager) -> None:
    world.settings()
    elsewhere = world.home / "elsewhere"
    (elsewhere / "dropbox-runner").mkdir(parents=True)
    world.environment["XDG_CONFIG_HOME"] = str(elsewhere)
    said = manager.dropbox_runner("service", "install", str(world.root), "--allow-root")
    assert said.returncode == 1
    assert "`systemd --user` does not look there" in said.stderr
