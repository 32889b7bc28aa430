"""Everything we tell a person when something is wrong, and the exit code that goes with it.

RunnerError            expected: one line, no traceback, exit 1
├── UsageError         the command line does not make sense, exit 2
├── FolderBusyError    another daemon holds the folder, exit 75
├── RefusedError       settings or folder are not fit to be run, exit 78
│   └── NotOursError   another machine runs the folder
└── RejectedError      a dropped file is no task: a list of Problems
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class RunnerError(Exception):
    """Something a person can understand and mend."""

    exit_code: ClassVar[int] = 1


class UsageError(RunnerError):
    """The command line does not make sense."""

    exit_code = 2


class FolderBusyError(RunnerError):
    """Another daemon on this machine runs the folder (EX_TEMPFAIL of sysexits.h)."""

    exit_code = 75


class RefusedError(RunnerError):
    """Settings or folder are not fit to be run (EX_CONFIG of sysexits.h)."""

    exit_code = 78


class NotOursError(RefusedError):
    """Another machine runs the folder."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file: what, where, and what to do about it."""

    message: str
    advice: str = ""
    line: int | None = None
    """Counted from 1, as editors do."""
    column: int | None = None
    """Counted from 1, in characters."""
    excerpt: str = ""
    """The offending line as it stands in the file, without its line end."""

    def render(self, file: str) -> str:
        """Lay it out as compilers do: place and message, the line with a caret, the advice."""
        place = file
        if self.line is not None:
            place += f":{self.line}" + (f":{self.column}" if self.column is not None else "")
        parts = [f"{place}: {self.message}"]
        if self.excerpt:
            parts.append(f"    {self.excerpt}")
            if self.column is not None:
                parts.append("    " + " " * (self.column - 1) + "^")
        if self.advice:
            parts.append(f"  → {self.advice}")
        return "\n".join(parts)


MOST_PROBLEMS = 20
"""Nobody reads more of them at once, and a hostile file could have thousands."""


class RejectedError(RunnerError):
    """A file that was meant to be a task is none."""

    def __init__(self, file: str, problems: tuple[Problem, ...]) -> None:
        if len(problems) > MOST_PROBLEMS:
            problems = (*problems[:MOST_PROBLEMS], Problem("there are more problems", "mend these first"))
        super().__init__(file, problems)
        self.file = file
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(problem.render(self.file) for problem in self.problems)
