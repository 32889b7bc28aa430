"""Each action, and who does it: one exhaustive match."""

from __future__ import annotations

from typing import assert_never

from dropbox_runner.core import actions, trace
from dropbox_runner.core.actions import Action
from dropbox_runner.daemon import answers, ending, intake, late, runs, starting
from dropbox_runner.daemon.desk import Desk


def perform(action: Action, desk: Desk) -> None:
    """Do it. OSError or RunnerError when the system, or what lies there, does not let us."""
    trace.action(type(action).__name__, name_of(action))
    match action:
        case actions.Take():
            intake.take(desk, action)
        case actions.TakeEdit():
            intake.take_edit(desk, action)
        case actions.TakeRewrite():
            intake.take_rewrite(desk, action)
        case actions.Unpack():
            intake.unpack(desk, action)
        case actions.Forget():
            intake.forget(desk, action)
        case actions.Admit():
            intake.admit(desk, action)
        case actions.Tidy():
            intake.tidy(desk, action)
        case actions.PutAside():
            intake.put_aside(desk, action)
        case actions.Start():
            starting.start(desk, action)
        case actions.Adopt():
            runs.adopt(desk, action)
        case actions.Stop():
            runs.stop(desk, action)
        case actions.Kill():
            runs.kill(desk, action)
        case actions.End():
            ending.end(desk, action)
        case actions.File():
            runs.file(desk, action)
        case actions.TakeAnswer():
            answers.take_answer(desk, action)
        case actions.TakeLate():
            late.take_late(desk, action)
        case actions.CarryOver():
            late.carry_over(desk, action)
        case actions.Cancel():
            answers.cancel(desk, action)
        case actions.EndMoved():
            runs.end_moved(desk, action)
        case actions.Abandon():
            runs.abandon(desk, action)
        case _:
            assert_never(action)


def name_of(action: Action) -> str:
    """Return the name of what it is done to."""
    return action.file if isinstance(action, actions.Take | actions.TakeEdit) else action.name


def key_of(action: Action) -> str:
    """Return what tells it from every other action of one plan."""
    return f"{name_of(action)} ({type(action).__name__.lower()})"
