"""What an agent finds in its environment, and a command that works in any."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dropbox_runner.agent.environment import MARK, Commands, agent_environment, command_script, shell_setup_script

MARKS = {MARK: "run-1", "DROPBOX_RUNNER_TASK_ID": "t"}
COMMANDS = Commands(Path("/state/bin"), Path("/state/shell-setup.sh"))


def environment(own: dict[str, str], *passed: str) -> dict[str, str]:
    return agent_environment(own, passed, MARKS, 4, COMMANDS)


ALWAYS = {
    "PATH": "/state/bin:/bin:/usr/bin",
    "CLAUDE_ENV_FILE": "/state/shell-setup.sh",
    "CLAUDE_CODE_MAX_RETRIES": "4",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
} | MARKS


def test_out_of_nothing() -> None:
    assert environment({}) == ALWAYS


@pytest.mark.parametrize(
    "name",
    [
        *("HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "XDG_RUNTIME_DIR"),
        *("XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "https_proxy", "NO_PROXY", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"),
        *("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN"),
        *("CLAUDE_CODE_USE_BEDROCK", "API_TIMEOUT_MS", "BASH_DEFAULT_TIMEOUT_MS", "IS_SANDBOX"),
    ],
)
def test_what_an_agent_needs_is_passed_on(name: str) -> None:
    assert environment({name: "value"}) == ALWAYS | {name: "value"}


OUTER_CLAUDE = [
    *("CLAUDECODE", "CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_CHILD_SESSION", "CLAUDE_PID", "CLAUDE_CODE_ENTRYPOINT"),
    *("CLAUDE_CODE_MESSAGING_SOCKET", "CLAUDE_CODE_MESSAGING_TOKEN", "CLAUDE_CODE_SSE_PORT", "CLAUDE_CODE_EXECPATH"),
    *("AI_AGENT", "GIT_EDITOR"),
]
SYSTEMD = [
    *("INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "MAINPID"),
    *("SYSTEMD_EXEC_PID", "LISTEN_FDS", "LISTEN_PID", "MANAGERPID", "CREDENTIALS_DIRECTORY", "MEMORY_PRESSURE_WATCH"),
]
OURS = ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "NODE_OPTIONS"]


@pytest.mark.parametrize("name", [*OUTER_CLAUDE, *SYSTEMD, *OURS])
def test_marks_of_others_and_what_nobody_has_allowed_are_not(name: str) -> None:
    assert environment({name: "value"}) == ALWAYS


@pytest.mark.parametrize(
    ("passed", "name", "arrives"),
    [
        ("GH_TOKEN", "GH_TOKEN", True),
        ("GH_*", "GH_TOKEN", True),
        ("GH_*", "XGH_TOKEN", False),
        ("gh_*", "GH_TOKEN", False),
        # Even if somebody lets everything of claude through: it would take itself for a child of another one.
        ("CLAUDE*", "CLAUDE_CODE_SESSION_ID", False),
        ("CLAUDE*", "CLAUDECODE", False),
    ],
)
def test_the_settings_let_more_through(passed: str, name: str, *, arrives: bool) -> None:
    assert (name in environment({name: "value"}, passed)) is arrives


@pytest.mark.parametrize("name", [*SYSTEMD, *OUTER_CLAUDE[:4]])
def test_not_even_settings_that_let_everything_through_pass_on_what_is_meant_for_the_daemon(name: str) -> None:
    # With NOTIFY_SOCKET an agent could tell systemd that the daemon is well.
    assert environment({name: "value"}, "*") == ALWAYS


def test_our_marks_outrank_those_of_an_outer_run() -> None:
    assert environment({MARK: "outer", "DROPBOX_RUNNER_INBOX": "/outer"}, "DROPBOX_RUNNER_*")[MARK] == "run-1"


@pytest.mark.parametrize("name", ["CLAUDE_CODE_RETRY_WATCHDOG", "CLAUDE_CODE_RETRY_WATCHDOG_MAX_USAGE_LIMIT_WAIT_MS"])
def test_no_claude_waits_for_a_usage_limit_by_itself(name: str) -> None:
    assert environment({name: "1"}, "*") == ALWAYS


def test_a_number_of_retries_that_the_user_has_set_is_kept() -> None:
    assert environment({"CLAUDE_CODE_MAX_RETRIES": "9"})["CLAUDE_CODE_MAX_RETRIES"] == "9"


def test_only_the_folder_of_our_command_is_put_in_front_of_the_path() -> None:
    assert environment({"PATH": "/a:/b"})["PATH"] == "/state/bin:/a:/b"


# ---------------------------------------------------------------------------------------------- the command


@pytest.fixture
def command(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "dropbox-runner"
    command.write_text(command_script())
    command.chmod(0o700)
    return command


def ask(command: Path, question: Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command, "ask", "Which colour?", "--option", "red", "--option=dark blue"],
        env={"DROPBOX_RUNNER_QUESTION_FILE": str(question)} | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def assert_asked(done: subprocess.CompletedProcess[str], question: Path) -> None:
    assert done.returncode == 0, done.stderr
    assert "End your turn now" in done.stdout
    assert "Traceback" not in done.stderr
    assert "dark blue" in question.read_text()


def test_the_command_works_without_any_path_and_with_junk_for_python(tmp_path: Path, command: Path) -> None:
    junk = tmp_path / "junk"
    (junk / "dropbox_runner").mkdir(parents=True)
    (junk / "dropbox_runner" / "__init__.py").write_text("raise SystemExit('the wrong package')")
    for module in ("json", "typer", "sitecustomize", "usercustomize"):
        (junk / f"{module}.py").write_text("raise SystemExit('the wrong module')")
    question = tmp_path / "question.json"
    done = ask(
        command, question, junk, PATH="/nowhere", PYTHONPATH=str(junk), PYTHONHOME=str(junk), PYTHONSTARTUP=str(junk)
    )
    assert_asked(done, question)


def test_the_command_works_with_no_environment_at_all_and_a_folder_that_is_gone(tmp_path: Path, command: Path) -> None:
    question = tmp_path / "question.json"
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'rmdir "{gone}" && exec "{command}" ask "Which colour?" --option "dark blue"'
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"DROPBOX_RUNNER_QUESTION_FILE": str(question)},
        cwd=gone,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert_asked(done, question)


def test_the_command_brings_nothing_of_our_python_into_the_agents(tmp_path: Path, command: Path) -> None:
    assert {path.name for path in command.parent.iterdir()} == {"dropbox-runner"}, "python itself must not be shadowed"
    assert "PYTHONPATH" not in command.read_text()


def test_questions_are_gathered_and_odd_texts_arrive_whole(tmp_path: Path, command: Path) -> None:
    question = tmp_path / "question.json"
    odd = 'it\'s "quoted" $HOME `id`\n--option second line\té'
    for text in ("first", odd):
        done = subprocess.run(
            [command, "ask", "--", text],
            env={"DROPBOX_RUNNER_QUESTION_FILE": str(question), "LANG": "C"},
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    asked = json.loads(question.read_bytes())["questions"]
    assert [one["text"] for one in asked] == ["first", odd]


@pytest.mark.parametrize("before", ["", "alias dropbox-runner=false", "export PATH=/usr/bin:/bin"])
def test_a_shell_that_has_lost_its_path_still_finds_the_command(tmp_path: Path, command: Path, before: str) -> None:
    setup = tmp_path / "it's a setup.sh"
    setup.write_text(shell_setup_script(command, {}))
    question = tmp_path / "question.json"
    script = f'{before}\n. "$SETUP"\ndropbox-runner ask "Which colour?" --option "dark blue"\n'
    done = subprocess.run(
        ["bash", "-c", script],
        env={"DROPBOX_RUNNER_QUESTION_FILE": str(question), "PATH": "/usr/bin:/bin", "SETUP": str(setup)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert_asked(done, question)


def test_a_setup_that_the_user_has_already_is_run_as_well(tmp_path: Path, command: Path) -> None:
    earlier, setup = tmp_path / "user's own.sh", tmp_path / "setup.sh"
    earlier.write_text("export MINE=kept\n")
    setup.write_text(shell_setup_script(command, {"CLAUDE_ENV_FILE": str(earlier)}))
    done = subprocess.run(
        ["bash", "-c", '. "$0"; echo "$MINE"; type -t dropbox-runner', str(setup)],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "kept\nfunction\n"
