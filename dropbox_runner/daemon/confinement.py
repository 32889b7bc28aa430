"""What a run in the sandbox may see of this machine; and whether what the settings put before claude works at all."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from dropbox_runner.agent import sandbox
from dropbox_runner.agent.environment import CONFIG_DIR, Commands
from dropbox_runner.agent.program import find_program, programs
from dropbox_runner.agent.sandbox import View
from dropbox_runner.core.cleantext import shorten
from dropbox_runner.core.clock import Now
from dropbox_runner.core.errors import RejectedError
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.task import Task, TaskFile
from dropbox_runner.folder.admission import is_within
from dropbox_runner.folder.layout import Layout, config_file, local_state, state_home

_TEMPORARY: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - each sandbox gets its own
_RUN: Final = Path("/run")
"""Holds the sockets of everything that would do something for us outside: systemd, D-Bus, Docker, the SSH agent."""
_SHOWN_OF_RUN: Final = ("/run/nscd", "/run/current-system", "/run/opengl-driver")


def real(path: str | Path) -> Path:
    """Return a path without links, as it is to be mounted."""
    return Path(os.path.realpath(Path(path).expanduser()))


def _homes() -> tuple[Path, ...]:
    named = [str(Path.home())]
    with suppress(KeyError):  # a user who is only a number, as in many containers
        named.append(pwd.getpwuid(os.geteuid()).pw_dir)
    return tuple(dict.fromkeys(path for path in map(real, named) if path.is_dir() and path != Path("/")))


def _ours(root: Path) -> tuple[Path, ...]:
    """What no agent may change: it says what agents may do."""
    return tuple(dict.fromkeys(map(real, (root, config_file().parent, state_home()))))


def view_for(layout: Layout, settings: Settings, commands: Commands, config_dir: str) -> View:
    """Return what every run sees: the system, claude's own configuration, our command, what the settings add."""
    hidden = (*_homes(), *_TEMPORARY, _RUN, *(path for path in _ours(layout.root) if path.is_dir()))
    hidden = tuple(dict.fromkeys(map(real, hidden)))
    home = real(Path.home())
    view = View(hidden=hidden, claude_json=None if config_dir else home / ".claude.json")
    own = (commands.folder, commands.shell_setup, *_of_run())
    read = (*map(real, own), *sandbox.needed(view, _python()), *_named(view, settings.sandbox_read))
    return replace(view, read=read, write=_named(view, (config_dir or str(home / ".claude"), *settings.sandbox_write)))


def _named(view: View, paths: Iterable[str]) -> tuple[Path, ...]:
    """Return what is to be mounted for what somebody has named: the thing itself, and a link to it that is hidden."""
    whole = [Path(path).expanduser() for path in paths]
    links = [one for path in whole if not view.shows(one := real(path.parent) / path.name)]
    return tuple(dict.fromkeys((*map(real, whole), *links)))


def _python() -> Iterator[Path]:
    """Yield what our own command needs that agents ask with."""
    yield from programs(Path(sys.executable), os.defpath)
    yield from (real(path) for path in (sys.prefix, sys.base_prefix, *sys.path) if path.startswith("/"))
    yield real(Path(__file__).parents[2])


def _of_run() -> Iterator[Path]:
    names = real("/etc/resolv.conf").parent
    if names.is_relative_to(_RUN):
        yield names
    yield from (path for path in map(Path, _SHOWN_OF_RUN) if path.exists())


def view_of_run(
    view: View, task: Task, claude: str, working_dir: Path, folder: Path, environment: Mapping[str, str]
) -> View:
    """Return what one run sees besides: its working directory, its task's folder, and what its task names."""
    started = sandbox.needed(view, programs(Path(claude), environment.get("PATH", os.defpath)))
    write = (*view.write, real(working_dir))
    # What lies in there is seen anyway, and the agent can have put a link to anything in its place.
    named = [
        path for path in (*task.context_files, *task.mcp_config) if _is_path(path) and not _leads_through(path, write)
    ]
    return replace(view, read=(*view.read, *started, real(folder), *_named(view, named)), write=write)


def _leads_through(path: str, folders: Iterable[Path]) -> bool:
    whole = Path(path).expanduser()
    return any(real(one).is_relative_to(folder) for one in (whole, *whole.parents) for folder in folders)


def _is_path(text: str) -> bool:
    try:
        json.loads(text)  # `mcp_config` may hold the configuration itself
    except ValueError:
        return Path(text).expanduser().exists()
    return False


def check_confined(file: TaskFile, works_in: str | None, root: Path, settings: Settings) -> None:
    """RejectedError when the task names something that would open the sandbox, or hand our own records to the agent."""
    if settings.sandbox == "none":
        return
    task, allowed = file.task, settings.allowed_working_dirs
    named: list[tuple[str, str, int | None]] = [
        ("working_dir", path, None) for path in dict.fromkeys((task.working_dir, works_in)) if path is not None
    ]
    named += [("context_files", path, entry) for entry, path in enumerate(task.context_files)]
    configs = [(path, entry) for entry, path in enumerate(task.mcp_config) if _is_path(path)]
    named += [("mcp_config", path, entry) for path, entry in configs]
    problems = []
    for field, path, entry in named:
        if (why := _opens(real(path), root)) is not None:
            message = f"asks for {shorten(path, 200)}, which cannot be given to an agent in the sandbox: {why}"
            problems.append(file.problem(field, message, "name something inside it", entry))
    # Outside of the sandbox claude could read it anyway; here it is seen because it is named.
    for path, entry in configs:
        if allowed is not None and path not in settings.allowed_mcp_configs and not is_within(path, allowed):
            message = f"may not name {shorten(path, 200)}: it would be seen in the sandbox"
            advice = "whoever owns this machine can put it into `allowed_mcp_configs` of the settings"
            problems.append(file.problem("mcp_config", message, advice, entry))
    if problems:
        raise RejectedError(file.name, tuple(problems))


def _opens(path: Path, root: Path) -> str | None:
    whole = next((one for one in (*_homes(), *_TEMPORARY, _RUN) if one.is_relative_to(path)), None)
    if whole is not None:
        return f"it holds all of {whole}"
    ours = next((one for one in _ours(root) if one.is_relative_to(path) or path.is_relative_to(one)), None)
    return f"{ours} is dropbox-runner's own" if ours is not None else None


class Readiness:
    """Knows whether what the settings put before claude works; asks once in a `poll`, for it takes a process."""

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self._layout = layout
        self._settings = settings
        self._tried_at = float("-inf")
        self._trouble: str | None = None

    def trouble(self, now: Now) -> str | None:
        """Say why nothing can be started, and what to do about it."""
        launcher = self._settings.launcher
        if launcher and find_program(launcher[0]) is None:
            return f"the launcher {launcher[0]} (setting `launcher`) was not found or cannot be run"
        if self._settings.sandbox == "none":
            return None
        if now.steady - self._tried_at >= self._settings.poll:
            self._tried_at, self._trouble = now.steady, try_sandbox(self._layout, self._settings)
        return f"the sandbox does not work, so nothing is started: {self._trouble}" if self._trouble else None


def try_sandbox(layout: Layout, settings: Settings) -> str | None:
    """Enter the sandbox as a run would, and say what is wrong with it."""
    for name in (*settings.sandbox_read, *settings.sandbox_write):
        if not Path(name).expanduser().exists():
            return f"there is no {name} (setting `sandbox_read` or `sandbox_write`)"
    if real(Path.home()) not in _homes():
        return (
            f"the home is {Path.home()}, so there is nothing that could be kept away; set HOME to a folder of its own"
        )
    commands = Commands.under(local_state(layout))
    view = view_for(layout, settings, commands, os.environ.get(CONFIG_DIR, ""))
    try:
        make_ready(view)
    except OSError as error:
        return f"claude's configuration folder cannot be made: {error}"
    return sandbox.trouble(view, unseen=layout.root / "pending", unwritable=commands.folder)


def make_ready(view: View) -> None:
    """Make claude's configuration folder: what claude made of it inside would be gone with the run, and the session."""
    view.write[0].mkdir(parents=True, exist_ok=True, mode=0o700)
