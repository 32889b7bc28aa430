"""A run inside the sandbox, behind the launcher, or both: what is started then, and where its question is left."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from dropbox_runner.agent.agents import Launch
from dropbox_runner.agent.environment import CONFIG_DIR, INSIDE, QUESTION_FILE
from dropbox_runner.agent.program import find_program, programs
from dropbox_runner.agent.sandbox import confined
from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.run import Run
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.task import Task
from dropbox_runner.core.wrapping import announced, launched
from dropbox_runner.daemon.confinement import make_ready, real, view_for, view_of_run
from dropbox_runner.daemon.desk import Desk
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import QUESTION, Layout, local_state
from dropbox_runner.folder.taskfolder import TaskFolder

_TEMPORARY: Final = ("TMPDIR", "CLAUDE_CODE_TMPDIR")


def is_wrapped(settings: Settings) -> bool:
    """Say whether anything stands between us and claude."""
    return settings.sandbox != "none" or bool(settings.launcher)


def wrapped(desk: Desk, folder: TaskFolder, run: Run, task: Task, launch: Launch) -> Launch:
    """Return what is to be started for a run: the launcher starts the sandbox, and that claude."""
    settings = desk.settings
    if settings.sandbox != "none":
        launch = _in_sandbox(desk, folder, run, task, launch)
    if settings.launcher:
        launcher = find_program(settings.launcher[0])
        if launcher is None:
            raise RunnerError(f"the launcher {settings.launcher[0]} has gone away")
        values = {
            "workdir": str(launch.working_dir),
            "task_dir": str(folder.path),
            "run_id": run.id,
            "task": folder.name,
        }
        inner = launch.arguments if settings.sandbox != "none" else announced(launch.arguments)
        launch = replace(launch, arguments=launched((launcher, *settings.launcher[1:]), values, inner))
    return launch


def _in_sandbox(desk: Desk, folder: TaskFolder, run: Run, task: Task, launch: Launch) -> Launch:
    asking = _asking(desk.store.layout, run.id)
    asking.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {name: value for name, value in launch.environment.items() if name not in _TEMPORARY}
    environment |= {INSIDE: "1", QUESTION_FILE: str(asking / QUESTION)}
    view = view_for(desk.store.layout, desk.settings, desk.commands, environment.get(CONFIG_DIR, ""))
    make_ready(view)
    claude = next(programs(Path(launch.arguments[0]), ""))
    view = view_of_run(view, task, str(claude), launch.working_dir, folder.path, environment)
    view = replace(view, write=(*view.write, real(asking)))
    arguments = confined(view, [str(claude), *launch.arguments[1:]])
    return replace(launch, arguments=arguments, environment=environment)


def _asking(layout: Layout, run_id: str) -> Path:
    """Return where a run in the sandbox leaves its question.

    Not in its task's folder, which it must not write: the record and the task file beside it say what the next run may
    see and do.
    """
    return local_state(layout) / "asking" / run_id


def bring_in_question(folder: TaskFolder, run_id: str) -> None:
    """Put the question that a run in the sandbox has left where all others lie. Can be repeated after a crash."""
    asking = _asking(Layout(folder.path.parent.parent), run_id)
    with suppress(FileNotFoundError):
        try:
            said = durable.read(asking / QUESTION)
        except durable.UnreadableError as error:
            if error.again:
                raise
            said = f"(claude left a question that cannot be read: {error})".encode()
        durable.write(folder.question, said)
    shutil.rmtree(asking, ignore_errors=True)


def drop_question(layout: Layout, run_id: str) -> None:
    """Forget what a run has left whose task is gone."""
    shutil.rmtree(_asking(layout, run_id), ignore_errors=True)
