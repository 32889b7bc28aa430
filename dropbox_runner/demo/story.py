"""What the demo does and tells, chapter by chapter: plain lines, from what is seen in the folder."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Final

from dropbox_runner.core.states import State
from dropbox_runner.demo.stage import Stage, samples
from dropbox_runner.demo.tree import tree
from dropbox_runner.folder.layout import ERROR, QUESTION_TEXT, RESULT_TEXT

_WIDTH: Final = 80
_ANSWER: Final = "SQLite. One server is all we have, and I like a backup that is one file."
_SITE: Final = "dropbox-runner-demo-site"


class Tone(Enum):
    """How a line is meant; a terminal may show it in colour, the words do without."""

    TELL = auto()
    TITLE = auto()
    COMMAND = auto()
    MOVE = auto()
    """A task has gone from one folder to another."""
    FILE = auto()
    """What stands in a file."""
    NOTE = auto()
    """What must not be overlooked."""


Tell = Callable[[str, Tone], None]


class Story:
    """The narrator. `play` is the whole story; it ends in an exception if the folder does not do as it is told here."""

    def __init__(self, stage: Stage, tell: Tell, *, keep: bool) -> None:
        self._stage = stage
        self._tell = tell
        self._keep = keep
        self._seen: dict[str, State] = {}

    def play(self) -> None:
        """Play it from the first line to the last."""
        self._opening()
        self._inbox()
        self._smallest_task()
        self._broken_task()
        self._question()
        self._meanwhile()
        self._answer()
        self._what_is_left()
        self._closing()

    def _opening(self) -> None:
        self._tell("dropbox-runner: the whole story in about ten seconds", Tone.TITLE)
        self._tell("", Tone.TELL)
        self._say(
            "You drop a task file into a folder. Claude works on it, asks by leaving a file, and goes on when you "
            "answer with a file."
        )
        self._tell("", Tone.TELL)
        self._say(
            "No Claude is involved in this demo. A built-in stand-in agent plays its part from a script: no account, "
            "no cost. Everything else is real: the commands, the folders and the files.",
            Tone.NOTE,
        )
        self._tell("", Tone.TELL)
        self._say("Your own files and settings are not touched: it all happens in")
        self._say(f"{self._stage.root}")

    def _inbox(self) -> None:
        self._chapter("1. A folder becomes an inbox")
        self._command("dropbox-runner init inbox")
        self._stage.make_inbox()
        self._command("dropbox-runner run inbox --claude ./claude-stand-in …")
        self._stage.start_daemon()
        self._say("Now it is being watched. Which folder a task lies in tells you how it stands:")
        for names, meaning in (
            ("pending/ → running/ → done/", "waiting, being worked on, finished"),
            ("blocked/", "has a question for you"),
            ("failed/", "did not work out; the reason lies beside it"),
        ):
            self._tell(f"     {names:<29}{meaning}", Tone.TELL)

    def _smallest_task(self) -> None:
        self._chapter("2. The smallest task")
        self._drop("hello.yaml", show=True)
        self._say("It is taken once it has been quiet for a moment: here 1 s, by default 5 s.")
        self._follow({"hello": State.DONE})
        self._say("What Claude makes lies in the folder of the task, in work/:")
        self._show(self._file("hello", "work/haiku.txt"))

    def _broken_task(self) -> None:
        self._chapter("3. A task with mistakes")
        self._drop("broken.yaml")
        self._follow({"broken": State.FAILED})
        self._say("It was never started. What is wrong, where, and what to do about it:")
        self._show(self._file("broken", ERROR), upto="\n_")

    def _question(self) -> None:
        self._chapter("4. A task with a question")
        self._drop("choose-database.yaml", show=True)
        self._follow({"choose-database": State.BLOCKED})
        self._say("The question lies beside the task, with its options and how to answer:")
        self._show(self._file("choose-database", QUESTION_TEXT))

    def _meanwhile(self) -> None:
        self._chapter("5. Other tasks do not wait for your answer")
        site = self._stage.home / _SITE
        self._command(f"mkdir ~/{_SITE}")
        site.mkdir()
        self._drop("release-notes.md")
        self._drop("site.yaml")
        self._say("One is written in Markdown, the other works in a folder outside of the inbox.")
        self._follow({"release-notes": State.DONE, "site": State.DONE})
        made = " and ".join(sorted(path.name for path in site.iterdir()))
        self._say(f"In ~/{_SITE}/ there are now {made}.")

    def _answer(self) -> None:
        self._chapter("6. You answer by writing a file")
        self._say("Any editor on any device will do. Here the demo writes it for you:")
        answer = self._file("choose-database", "answer.md")
        answer.write_text(f"{_ANSWER}\n", encoding="utf-8")
        self._show(answer)
        self._follow({"choose-database": State.DONE})
        self._say("It went on in the same session, with your answer. What it wrote:")
        self._show(self._file("choose-database", "work/decision.md"))

    def _what_is_left(self) -> None:
        self._stage.stop_daemon()
        self._chapter("What the folder holds now")
        for line in tree(self._stage.layout, _WIDTH - 3):
            self._tell(f"   {line}", Tone.FILE)
        self._say("(not shown: the record of each task, and the logs of its runs)")

    def _closing(self) -> None:
        self._chapter("Your turn, with the real Claude")
        for command, remark in (
            ("pip install 'dropbox-runner[claude]'", "# or have claude on your PATH"),
            ("dropbox-runner init ~/inbox", ""),
            ("dropbox-runner run ~/inbox", "# ^C stops it"),
        ):
            self._command(f"{command:<38}{remark}".rstrip())
        self._say("Then drop a task into ~/inbox. The five of this demo are in")
        self._say(f"{samples()}")
        self._tell("", Tone.TELL)
        self._say("Once more: no Claude was involved, only its stand-in. Nothing was spent.", Tone.NOTE)
        if not self._keep:
            self._say("The demo's folder is now removed; `dropbox-runner demo --keep` leaves it.")

    def _chapter(self, title: str) -> None:
        self._tell("", Tone.TELL)
        self._tell(title, Tone.TITLE)

    def _say(self, text: str, tone: Tone = Tone.TELL) -> None:
        for line in textwrap.wrap(text, _WIDTH - 3, break_on_hyphens=False, break_long_words=False):
            self._tell(f"   {line}", tone)

    def _command(self, text: str) -> None:
        self._tell(f"   $ {text}", Tone.COMMAND)

    def _drop(self, sample: str, *, show: bool = False) -> None:
        self._command(f"cp sample_inbox/{sample} inbox/")
        self._stage.drop(sample)
        if show:
            self._quote((samples() / sample).read_text(encoding="utf-8"))

    def _show(self, path: Path, upto: str = "\0") -> None:
        """Show what stands in a file, under its path as a person sees it who is in the folder."""
        self._tell(f"   {path.relative_to(self._stage.layout.root)}:", Tone.MOVE)
        self._quote(path.read_text(encoding="utf-8").partition(upto)[0])

    def _quote(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            indent = " " * (len(line) - len(line.lstrip()))
            parts = textwrap.wrap(line, _WIDTH - 5, subsequent_indent=indent, break_on_hyphens=False)
            for part in parts or [""]:
                self._tell(f"   │ {part}".rstrip(), Tone.FILE)

    def _file(self, task: str, name: str) -> Path:
        return self._stage.layout.task(self._seen[task], task) / name

    def _follow(self, wanted: dict[str, State]) -> None:
        """Tell each move of these tasks until all are where they should be."""
        waited = " and ".join(f"{state}/{name}/" for name, state in wanted.items())
        self._stage.wait_for(waited, lambda: self._look(wanted))

    def _look(self, wanted: dict[str, State]) -> bool:
        for name, goal in wanted.items():
            state = self._stage.layout.find(name)
            before = self._seen.get(name)
            # Every run begins in pending/; it is told together with where the task goes from there.
            if state in (None, State.PENDING, before):
                continue
            self._seen[name] = state
            self._tell(f"   {name}: {' → '.join(_way(before, state))}", Tone.MOVE)
            if state is not State.RUNNING and state is not goal:
                raise self._stage.trouble(f"{name} came to {state}/ instead of {goal}/")
            if state is State.DONE:
                self._show(self._file(name, RESULT_TEXT), upto="\n---\n")
        return all(self._seen.get(name) is state for name, state in wanted.items())


def _way(before: State | None, now: State) -> tuple[State, ...]:
    """Name the folders that a task has come through since it was last seen: each run begins in pending/."""
    if before is State.RUNNING:
        return before, now
    start = (before, State.PENDING) if before else (State.PENDING,)
    # Straight from pending/ to failed/: it was no task.
    return (*start, now) if now in (State.RUNNING, State.FAILED) else (*start, State.RUNNING, now)
