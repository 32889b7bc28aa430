"""What the command line asks and tells systemd: the one door to systemctl and journalctl."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PATIENCE: Final = 20.0
"""Seconds for a question. An order takes as long as the service takes to start or to stop."""
_LINGER: Final = Path("/var/lib/systemd/linger")


@dataclass(frozen=True)
class Unit:
    """What the user manager knows of a unit."""

    file: str
    """Empty: there is no such unit."""
    enabled: bool
    active: str
    """active, reloading, inactive, failed, activating, deactivating"""
    pid: int
    since: str
    status: str
    """What the daemon says of itself."""
    result: str
    """success, or how it has failed: exit-code, watchdog, start-limit-hit …"""


def order(*arguments: str) -> str:
    """Give the user manager an order; return why it could not be carried out, or nothing."""
    done = _run("systemctl", "--user", *arguments, patience=None)
    return "" if done.returncode == 0 else done.stderr.strip() or f"systemctl ended with {done.returncode}"


def unreachable() -> str:
    """Return why the user manager cannot be asked, or nothing."""
    done = _run("systemctl", "--user", "show", "--property=Version")
    return "" if done.returncode == 0 else done.stderr.strip().partition("\n")[0] or "it does not answer"


def unit(name: str) -> Unit:
    """Ask the user manager, which must be reachable, for a unit."""
    wanted = "FragmentPath,UnitFileState,ActiveState,MainPID,StateChangeTimestamp,StatusText,Result"
    lines = _run("systemctl", "--user", "show", f"--property={wanted}", name).stdout.splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    return Unit(
        file=said.get("FragmentPath", ""),
        enabled=said.get("UnitFileState") == "enabled",
        active=said.get("ActiveState", "inactive"),
        pid=int(said.get("MainPID") or 0),
        since=said.get("StateChangeTimestamp", ""),
        status=said.get("StatusText", ""),
        result=said.get("Result", ""),
    )


def variables() -> Mapping[str, str]:
    """Return the environment that services get."""
    lines = _run("systemctl", "--user", "show-environment").stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def last_words(name: str, *, errors_only: bool) -> list[str]:
    """Return the last lines of a unit's log, as far as there is one."""
    only = ["--priority=err"] if errors_only else []
    options = ["--user", f"--user-unit={name}", *only, "--lines=5", "--output=short-iso", "--quiet", "--no-pager"]
    return _run("journalctl", *options).stdout.splitlines()


def user() -> str:
    """Return who we are."""
    return pwd.getpwuid(os.geteuid()).pw_name


def lingers() -> bool:
    """Say whether the user's services run without the user being logged in (what `loginctl enable-linger` does)."""
    return (_LINGER / user()).exists()


def _run(*command: str, patience: float | None = _PATIENCE) -> subprocess.CompletedProcess[str]:
    # After `su - somebody` the manager is there, only the variable that leads to it is not.
    environment = {"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}", **os.environ}
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=patience, check=False
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"{command[0]} does not answer")


def works(command: tuple[str, ...]) -> str:
    """Return why this command cannot be run from anywhere, or nothing."""
    try:
        done = subprocess.run(command, cwd="/", env={}, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr.strip() or "it fails").splitlines()[-1]
