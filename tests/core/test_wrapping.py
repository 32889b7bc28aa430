"""From the launcher in the settings to a command line, and what a wrapper that fails is told apart by."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from pydantic import ValidationError

from dropbox_runner.core.settings import Settings
from dropbox_runner.core.wrapping import STARTED, announced, launched, reached

CLAUDE = ["/opt/claude", "-p", "--allowedTools=Bash(x *)"]
VALUES = {"workdir": "/my work", "task_dir": "/inbox/running/fix", "run_id": "abc", "task": "fix"}


@pytest.mark.parametrize(
    ("launcher", "expected"),
    [
        (["nice"], ["nice", *CLAUDE]),
        (["nice", "-n", "5"], ["nice", "-n", "5", *CLAUDE]),
        (
            ["docker", "run", "-v{workdir}:{workdir}", "image"],
            ["docker", "run", "-v/my work:/my work", "image", *CLAUDE],
        ),
        (["run", "--name={task}-{run_id}", "{command}", ";"], ["run", "--name=fix-abc", *CLAUDE, ";"]),
        (["sh", "-c", 'echo ${HOME} {{.ID}}; "$@"', "sh"], ["sh", "-c", 'echo ${HOME} {{.ID}}; "$@"', "sh", *CLAUDE]),
        (
            ["ssh", "host", "cd {workdir} && exec {command_line}"],
            ["ssh", "host", "cd '/my work' && exec /opt/claude -p '--allowedTools=Bash(x *)'"],
        ),
    ],
    ids=" ".join,
)
def test_what_a_launcher_makes_of_claudes_command_line(launcher: list[str], expected: list[str]) -> None:
    settings = Settings.model_validate({"launcher": launcher})
    assert launched(settings.launcher, VALUES, CLAUDE) == expected


def test_a_value_that_looks_like_a_placeholder_or_like_shell_stays_what_it_is() -> None:
    values = VALUES | {"workdir": "/{task}; reboot"}
    assert launched(["x", "{workdir}"], values, [])[1] == "/{task}; reboot"
    [line] = launched(["cd {workdir} && {command_line}"], values, ["echo", "$(reboot)"])
    assert shlex.split(line) == ["cd", "/{task}; reboot", "&&", "echo", "$(reboot)"]


@pytest.mark.parametrize(
    ("launcher", "why"),
    [
        ([""], "must not be empty"),
        (["x", "{working_dir}"], "there is no placeholder {working_dir}; known are {workdir}, {task_dir}"),
        (["sh", "-c", "exec {command}"], "say {command_line}"),
        (["x", "{command}", "{command}"], "started once"),
        (["x", "{command}", "{command_line}"], "started once"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_when_the_settings_are_read(launcher: list[str], why: str) -> None:
    with pytest.raises(ValidationError, match="launcher") as refused:
        Settings.model_validate({"launcher": launcher})
    assert why in str(refused.value)


@pytest.mark.parametrize("setting", ["sandbox_read", "sandbox_write"])
def test_a_relative_path_into_the_sandbox_is_refused(setting: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({setting: ["notes"]})


def test_the_command_says_that_claude_was_reached_and_becomes_it() -> None:
    done = subprocess.run(announced(["printf", "%s|", "a b", "$HOME"]), capture_output=True, text=True, check=True)
    assert done.stdout == "a b|$HOME|"
    assert reached(done.stderr) == (True, "")


def test_what_else_was_said_is_kept() -> None:
    assert reached("pulling…\n") == (False, "pulling…\n")
    assert reached(f"pulling…\n{STARTED}\r\nError: no\n") == (True, "pulling…\nError: no\n")
    assert reached("") == (False, "")
