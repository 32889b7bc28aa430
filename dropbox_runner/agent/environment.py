"""What an agent finds in its environment: an allow-list, our marks, and a `dropbox-runner` command that works."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

MARK: Final = "DROPBOX_RUNNER_RUN_ID"
"""Everything a run starts inherits it: by this mark left-overs are found after any end."""

TASK_DIR: Final = "DROPBOX_RUNNER_TASK_DIR"
"""The task's folder; by it the processes of a task are found whose record can no longer be read."""
INBOX: Final = "DROPBOX_RUNNER_INBOX"
"""The watched folder: tells the runs of one daemon from those of another."""

CONFIG_DIR: Final = "CLAUDE_CONFIG_DIR"
"""Where claude's configuration lies, if not in ~/.claude. A session is known only in the one in which it began."""

INSIDE: Final = "DROPBOX_RUNNER_SANDBOX"
"""Tells our own commands that they run in the sandbox."""

QUESTION_FILE: Final = "DROPBOX_RUNNER_QUESTION_FILE"
"""Where an agent leaves its question."""

_PASSED: Final = (
    *("HOME", "PATH", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_*", "XDG_*", "SSH_AUTH_SOCK"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
    # claude's own configuration
    *("ANTHROPIC_*", "CLAUDE_*", "API_TIMEOUT_MS", "BASH_*_TIMEOUT_MS", "BASH_MAX_OUTPUT_LENGTH", "MCP_*TIMEOUT"),
    *("DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING", "DISABLE_AUTO_COMPACT"),
    # Set by whoever knows that the machine is a sandbox; never by us. Without it claude refuses to bypass
    # permissions as root.
    "IS_SANDBOX",
)
_NEVER: Final = (
    *("NOTIFY_SOCKET", "LISTEN_*", "WATCHDOG_*", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID"),
    *("SYSTEMD_EXEC_PID", "MANAGERPID", "MANAGERPIDFDID", "FDSTORE", "CREDENTIALS_DIRECTORY", "MEMORY_PRESSURE_*"),
    *("CLAUDECODE", "AI_AGENT"),
    *("CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_CHILD_*", "CLAUDE_PID", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_EXECPATH"),
    *("CLAUDE_CODE_MESSAGING_*", "CLAUDE_CODE_SSE_PORT", "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB"),
    # With it each claude waits for the reset of a usage limit by itself: for hours, and nobody would say why.
    "CLAUDE_CODE_RETRY_WATCHDOG*",
)
"""The marks of systemd, and of a claude that the daemon may have been started from: meant for the daemon alone.

An agent with NOTIFY_SOCKET could tell systemd that the daemon is well. Settings cannot let these through either.
"""


READS_CLAUDE_MD: Final = "CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD"
"""Makes claude read the CLAUDE.md of what `--add-dir` names, and nothing else of it, also where a project's settings
are ignored (measured on claude 2.1.330). It is text; the rest of `.claude/` can run programs."""

SHELL_SETUP: Final = "CLAUDE_ENV_FILE"
"""claude runs this file before every command of its shell (measured on claude 2.1.330)."""


@dataclass(frozen=True)
class Commands:
    """Where the agents find what we have put there for them."""

    folder: Path
    """Holds the command `dropbox-runner` and nothing else."""
    shell_setup: Path
    """Makes it known to shells that have lost their PATH."""

    @classmethod
    def under(cls, local: Path) -> Commands:
        """Return where they lie in this machine's corner for one watched folder."""
        return cls(local / "bin", local / "shell-setup.sh")


def agent_environment(
    own: Mapping[str, str], passed: Iterable[str], marks: Mapping[str, str], api_retries: int, commands: Commands
) -> dict[str, str]:
    """Return the whole environment of a run.

    `own` is the daemon's environment, `passed` what the settings let through. The folder of our command goes in front
    of PATH; it holds nothing else, so the agent finds it and nothing is shadowed.
    """
    patterns = (*_PASSED, *passed)
    kept = {
        name: value
        for name, value in own.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
        and not any(fnmatchcase(name, pattern) for pattern in _NEVER)
    }
    kept.setdefault("PATH", os.defpath)
    kept["PATH"] = f"{commands.folder}{os.pathsep}{kept['PATH']}"
    kept[SHELL_SETUP] = str(commands.shell_setup)
    kept.setdefault("CLAUDE_CODE_MAX_RETRIES", str(api_retries))
    # Else a command in the background keeps claude alive after its result, and runs on with nobody to see it.
    kept["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS"] = "1"
    return kept | dict(marks)


def shell_setup_script(command: Path, own: Mapping[str, str]) -> str:
    """Return what makes our command known whatever has become of PATH.

    PATH alone is not enough: claude's settings may set another one, and where the user's ~/.bashrc ends the shell,
    claude falls back on a login shell with that of the system. An agent that cannot ask would end its task as done.
    """
    earlier = own.get(SHELL_SETUP, "")
    lines = [
        f"[ -r {shlex.quote(earlier)} ] && . {shlex.quote(earlier)}" if earlier else "",
        f"unalias {command.name} 2>/dev/null",
        f'{command.name}() {{ {shlex.quote(str(command))} "$@"; }}',
        f'export PATH={shlex.quote(str(command.parent))}:"$PATH"',
    ]
    return "\n".join(line for line in lines if line) + "\n"


def command_script() -> str:
    """Return a script that runs this very program, whatever Python and PATH its caller has.

    Only the script is put in front of the agent, not our Python environment: `-I` and a path list of its own keep
    the agent's PYTHONPATH and working directory out, and ours out of the agent's.
    """
    # `python -m` puts the working directory in front, and a json.py that happens to lie there must not break `ask`.
    paths = [path for path in sys.path if path and Path(path).is_absolute() and Path(path) != Path.cwd()]
    package = str(Path(__file__).resolve().parents[2])
    code = (
        f"import sys; sys.path[:0] = {[package, *paths]!r}; from dropbox_runner.__main__ import main; sys.exit(main())"
    )
    return f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -c {shlex.quote(code)} "$@"\n'
