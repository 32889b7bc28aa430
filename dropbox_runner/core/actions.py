"""Everything that the daemon can do, as data. Each is performed by one function, in its own error boundary."""

from __future__ import annotations

from dataclasses import dataclass

from dropbox_runner.core.run import Run
from dropbox_runner.core.states import State, Verdict


@dataclass(frozen=True)
class Take:
    """Make a task of a dropped file: pending/NAME, or failed/NAME with what is wrong with it."""

    file: str
    task: str
    begun: bool
    """Whether that folder has been made already, and only the file is missing in it."""


@dataclass(frozen=True)
class TakeEdit:
    """Give a task that has not ended the newer text that was dropped under the same name."""

    file: str
    name: str
    state: State


@dataclass(frozen=True)
class TakeRewrite:
    """Take note that somebody has changed a task's file where it lies, in running/ or blocked/."""

    name: str
    state: State


@dataclass(frozen=True)
class Unpack:
    """Go on with the taking of a dropped folder, whose task's file still lies among its attachments."""

    name: str


@dataclass(frozen=True)
class Forget:
    """Remove what is left of a task that was never started and whose file was taken back: our own record."""

    name: str


@dataclass(frozen=True)
class Admit:
    """Read a task in pending/ that has no next run: decide what that is for, or that it is no task at all.

    It was handed back by hand, or has just been taken and did not parse.
    """

    name: str


@dataclass(frozen=True)
class Start:
    """Move pending → running and start claude."""

    name: str


@dataclass(frozen=True)
class Adopt:
    """Watch the process of a run that an earlier daemon started."""

    name: str
    run: Run


@dataclass(frozen=True)
class Stop:
    """Tell a run to end: write down why, then SIGTERM. Verdict SUCCEEDED: its own result, given before, counts."""

    name: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Kill:
    """SIGKILL a run that did not end in its time of grace."""

    name: str
    run: Run


@dataclass(frozen=True)
class End:
    """Judge a run whose process is gone, and write the verdict down."""

    name: str


@dataclass(frozen=True)
class File:
    """Move a task for which nothing runs to where its record says it belongs."""

    name: str
    state: State
    target: State


@dataclass(frozen=True)
class TakeAnswer:
    """File question and answer under their number and queue the next run."""

    name: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class TakeLate:
    """Put answers aside that answer nothing any more, and pass them on with what claude is told next."""

    name: str
    state: State
    answers: tuple[str, ...]


@dataclass(frozen=True)
class CarryOver:
    """Bring what an editor or a sync tool has put where a task was to where it is by now."""

    name: str
    state: State
    """Where it was, and where nothing else of it lies."""


@dataclass(frozen=True)
class Cancel:
    """End a task that is not running."""

    name: str
    state: State
    reason: str


@dataclass(frozen=True)
class Tidy:
    """Remove temp files of ours whose writer has died."""

    name: str
    state: State
    halves: tuple[str, ...]


@dataclass(frozen=True)
class PutAside:
    """Move a task that cannot be understood to failed/, with the reason."""

    name: str
    state: State
    reason: str


@dataclass(frozen=True)
class EndMoved:
    """Stop the run of a task that was moved out of running/ by hand while claude worked on it."""

    name: str
    state: State


@dataclass(frozen=True)
class Abandon:
    """Stop a run whose task is nowhere any more: its folder was deleted, or moved to done/ or failed/."""

    name: str
    """The run's id."""


Action = (
    Take
    | TakeEdit
    | TakeRewrite
    | Unpack
    | Forget
    | Admit
    | Start
    | Adopt
    | Stop
    | Kill
    | End
    | File
    | TakeAnswer
    | TakeLate
    | CarryOver
    | Cancel
    | Tidy
    | PutAside
    | EndMoved
    | Abandon
)
