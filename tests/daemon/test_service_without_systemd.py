"""The commands around the service where no user manager answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import World


@pytest.fixture
def alone(world: World) -> World:
    """A user whose manager cannot be reached, on whatever machine this is."""
    world.environment["XDG_RUNTIME_DIR"] = str(world.base / "nothing-here")
    return world


def unit(world: World) -> Path:
    return world.home / "config/systemd/user/dropbox-runner.service"


def test_install_says_why_not_and_what_to_do_and_leaves_nothing_behind(alone: World) -> None:
    said = alone.run("service", "install", "--allow-root")
    assert said.returncode == 1
    assert said.stderr.startswith("dropbox-runner: no `systemd --user` answers for ")
    assert f"Without systemd: dropbox-runner run {alone.root}\n" in said.stderr
    assert said.stderr.count("\n") == 1
    assert not unit(alone).exists()


def test_the_unit_can_be_printed_anywhere(alone: World) -> None:
    alone.environment["XDG_STATE_HOME"] = "/my state"
    said = alone.run(
        "service",
        "install",
        "--allow-root",
        "--print",
        "--settle=1",
        "--config",
        str(alone.config),
        "--claude=./claude",
    )
    assert said.returncode == 0, said.stderr
    [start] = [line for line in said.stdout.splitlines() if line.startswith("ExecStart=")]
    assert start.endswith(
        f" -P -m dropbox_runner run {alone.root} --claude={alone.home}/claude --settle=1 --config={alone.config} "
        "--allow-root"
    )
    assert 'Environment="XDG_STATE_HOME=/my state"' in said.stdout
    assert not unit(alone).exists()


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--max-parallel=0"], 78, "--max-parallel: "),
        (["--config=/no/such.yaml"], 78, "there is no settings file /no/such.yaml"),
        (["/usr"], 78, "/usr is not an inbox yet"),
        (["--drain"], 2, "--drain"),
    ],
)
def test_what_could_not_run_is_not_installed(alone: World, options: list[str], code: int, says: str) -> None:
    said = alone.run("service", "install", "--allow-root", *options)
    assert said.returncode == code
    assert says in said.stderr
    assert not unit(alone).exists()


def test_status_and_doctor_do_not_mind(alone: World) -> None:
    assert alone.run("service", "status").returncode == 0
    said = alone.run("doctor", str(alone.root)).stdout
    assert "ok   service: not installed" in said
    unit(alone).parent.mkdir(parents=True)
    unit(alone).write_text("[Service]\n")
    said = alone.run("service", "status").stdout
    assert "ok   service: installed" in said
    assert "was not made by" in said
    assert "no user manager answers" in said


def test_uninstall_says_what_is_left_to_be_done(alone: World) -> None:
    said = alone.run("service", "install", "--allow-root", "--print")
    unit(alone).parent.mkdir(parents=True)
    unit(alone).write_text(said.stdout)
    said = alone.run("service", "uninstall")
    assert said.returncode == 1
    assert f"all there is to do: rm {unit(alone)}" in said.stderr
    assert unit(alone).exists()
