"""`launcher`: claude behind a command of the user's, and what is still true then."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from harness import World, alive, wait_until

pytestmark = pytest.mark.slow


def launcher(world: World, *words: str, **more: object) -> None:
    settings = {"launcher": list(words)} | more
    world.settings(**{name: json.dumps(value) for name, value in settings.items()})


def script(world: World, text: str) -> str:
    """A wrapper that somebody has written."""
    path = world.base / "wrapper"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_claude_gets_its_prompt_and_its_arguments_through_it_and_the_wrapper_knows_what_it_wraps(world: World) -> None:
    world.play(
        [{"bash": "echo $VIA > via; nice >> via"}, {"ask": {"text": "Which way?"}}, {"say": "…"}],
        [{"bash": "echo $VIA >> via"}, {"say": "Done."}],
    )
    launcher(world, "env", "VIA={task} in {workdir}", "nice", "-n", "3")
    world.start()
    world.move_in("walk.yaml", "instructions: walk\n")
    world.wait_for("walk", "blocked")
    world.answer("walk", "left")
    done = world.wait_for("walk", "done")

    through = f"walk in {world.root}/running/walk/work\n"
    assert (done / "work" / "via").read_text() in (f"{through}{nice}\n{through}" for nice in range(3, 20))
    first, second = world.calls()
    assert first["prompt"] == "# Task\n\nwalk\n"
    assert "left" in second["prompt"]
    assert "--allowedTools=Bash(dropbox-runner ask *)" in first["argv"]
    assert json.loads((done / "result.json").read_text())["cost_complete"] is True


def test_a_command_line_for_a_shell_is_quoted_for_it(world: World) -> None:
    folder = world.home / "it's $(here)"
    folder.mkdir()
    launcher(world, "sh", "-c", "cd {workdir} && touch was-here && exec {command_line}")
    world.start()
    world.move_in("x.yaml", f'instructions: x\nworking_dir: "{folder}"\n')
    world.wait_for("x", "done")

    assert (folder / "was-here").exists()
    assert "--allowedTools=Bash(dropbox-runner ask *)" in world.calls()[0]["argv"]


WRAPPERS = {
    "becomes claude": 'exec "$@"',
    "waits and passes nothing on": "trap '' TERM INT\n\"$@\"",
    "waits in another session": 'setsid --wait "$@"',
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_claude_is_told_to_end_whatever_the_wrapper_does_with_signals(world: World, wrapper: str) -> None:
    up = world.base / "up"
    world.play([{"touch": str(up)}, {"bash": "sleep 300"}], [{"say": "Finished after all."}])
    launcher(world, script(world, wrapper))
    daemon = world.start()
    world.move_in("x.yaml", "instructions: x\n")
    wait_until(up.exists, lambda: f"it never worked:\n{world.story('x')}")
    assert daemon.stop() == 0

    stream = (world.path("x") / "run-1.jsonl").read_text()
    assert "Exit code 137" in stream, "claude had no time to end its tools"
    assert "killing it" not in daemon.log
    world.start()
    assert json.loads((world.wait_for("x", "done") / "result.json").read_text())["runs"] == 2


def test_a_wrapper_that_outlives_everything_is_killed_and_what_it_held_is_swept(world: World) -> None:
    up = world.base / "up"
    world.play([{"ignore_sigterm": True}, {"touch": str(up)}, {"sleep": 300}])
    launcher(world, script(world, 'trap "" TERM\nexec 3<&0\n"$@" <&3 &\nwait\nsleep 300'), stop_grace="0.3s")
    daemon = world.start()
    world.move_in("x.yaml", "instructions: x\n")
    wait_until(up.exists, lambda: f"it never worked:\n{world.story('x')}")
    pid = world.agent_pid("x")
    (world.path("x") / "cancel").touch()
    failed = world.wait_for("x", "failed")

    assert json.loads((failed / "result.json").read_text())["verdict"] == "cancelled"
    assert not alive(pid)
    assert "left processes behind, ended" in daemon.log


def test_the_next_daemon_takes_over_what_runs_behind_a_launcher(world: World) -> None:
    up, gate = world.base / "up", world.base / "gate"
    world.play([{"touch": str(up)}, {"wait_for": str(gate)}, {"say": "Ready."}])
    launcher(world, script(world, '"$@"\nexit $?'))
    daemon = world.start()
    world.move_in("x.yaml", "instructions: x\n")
    wait_until(up.exists, lambda: f"it never worked:\n{world.story('x')}")
    world.agent_pid("x")
    daemon.kill()
    second = world.start()
    second.wait_for_log("adopted")
    gate.touch()
    world.wait_for("x", "done")

    assert len(world.calls()) == 1


@pytest.mark.parametrize(
    ("wrapper", "said"),
    [
        ("echo 'no such container' >&2; exit 1", "(exit code 1): no such container"),
        ("echo 'a banner'; echo 'no route to host' >&2; exit 255", "(exit code 255): no route to host"),
        ("exec no-such-program", "(exit code 127)"),
        ("exit 0", "(exit code 0): it said nothing"),
    ],
)
def test_a_launcher_that_does_not_get_as_far_as_claude_holds_the_queue_and_fails_no_task(
    world: World, wrapper: str, said: str
) -> None:
    launcher(world, script(world, wrapper))
    daemon = world.start()
    world.move_in("x.yaml", "instructions: x\n")
    daemon.wait_for_log(f"before claude was started {said}")
    world.wait_for("x", "pending")

    assert world.record("x")["runs"][0]["verdict"] == "account"
    assert world.record("x")["runs"][0]["cost_usd"] == 0.0
    assert said in world.run("status").stdout.replace("\n", " ")


def test_what_claude_itself_refuses_behind_a_launcher_is_the_tasks_own_failure(world: World) -> None:
    launcher(world, script(world, 'exec "$@" --permission-mode=none'))
    world.start()
    world.move_in("x.yaml", "instructions: x\n")
    failed = world.wait_for("x", "failed")

    page = (failed / "error.md").read_text()
    assert "claude did not start (exit code 1): error: option '--permission-mode" in page
    assert "claude starts here" not in page


def test_a_launcher_that_is_not_there_holds_the_queue_until_it_is(world: World) -> None:
    wrapper = world.base / "wrapper"
    launcher(world, str(wrapper))
    daemon = world.start("--poll=0.2")
    world.move_in("x.yaml", "instructions: x\n")
    daemon.wait_for_log(f"the launcher {wrapper} (setting `launcher`) was not found")
    assert "BAD  launcher: there is no command" in world.run("doctor").stdout
    assert world.where("x") in (None, "pending")
    script(world, 'exec "$@"')
    world.wait_for("x", "done")

    assert world.record("x")["runs"][0]["verdict"] == "succeeded"
    assert daemon.stop(signal.SIGTERM) == 0


def test_launcher_and_sandbox_together_the_launcher_starts_the_sandbox(world: World) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    (world.home / "secret").write_text("SECRET")
    needed = {"sandbox_read": [str(world.base / "scenario.json")], "sandbox_write": [str(world.state_dir)]}
    launcher(world, "env", "VIA=launcher", sandbox="bubblewrap", **needed)
    world.play([{"bash": "echo $VIA > via; cat ~/secret >> via; true"}, {"say": "Done."}])
    world.start()
    world.move_in("x.yaml", "instructions: x\n")
    done = world.wait_for("x", "done")

    assert (done / "work" / "via").read_text() == "launcher\n"
    assert Path(world.home / "secret").read_text() == "SECRET"
