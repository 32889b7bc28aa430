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
        self._tell("dropbox-runner, the whole story in about ten seconds", Tone.TITLE)
        self._say(
            "You drop a task file into a folder; Claude works on it, asks by leaving a file, and goes on when you "
            "answer with a file."
        )
        self._say(
            "No Claude is involved in this demo: a stand-in that comes with this program plays its part, from a "
            "script. No account, no cost. All else is real: the commands, the folders, the files.",
            Tone.NOTE,
        )
        self._say(f"It happens in {self._stage.root}, with a home of its own: your settings and files are not touched.")

    def _inbox(self) -> None:
        self._chapter("1. A folder becomes an inbox")
        self._command("dropbox-runner init inbox")
        self._stage.make_inbox()
        self._command("dropbox-runner run inbox")
        self._stage.start_daemon()
        self._say("It is watched from now on. Where a task lies in it says how far it is:")
        for names, meaning in (
            ("pending/ → running/ → done/", "waits, is being worked on, is done"),
            ("blocked/", "has a question for you"),
            ("failed/", "could not be done, with the reason beside it"),
        ):
            self._tell(f"     {names:<29}{meaning}", Tone.TELL)

    def _smallest_task(self) -> None:
        self._chapter("2. The smallest task: one line")
        self._drop("hello.yaml")
        self._show(samples() / "hello.yaml")
        self._say("A file that is being written is left alone until it has been quiet: here 1 second, usually 5.")
        self._follow({"hello": State.DONE})
        self._show(self._file("hello", "work/haiku.txt"))

    def _broken_task(self) -> None:
        self._chapter("3. A task with mistakes")
        self._drop("broken.yaml")
        self._follow({"broken": State.FAILED})
        self._say("It was never started. What is wrong, where, and what to do about it:")
        self._show(self._file("broken", ERROR))

    def _question(self) -> None:
        self._chapter("4. A task with a question")
        self._drop("choose-database.yaml")
        self._show(samples() / "choose-database.yaml")
        self._follow({"choose-database": State.BLOCKED})
        self._say("It needs to know something from you:")
        self._show(self._file("choose-database", QUESTION_TEXT))

    def _meanwhile(self) -> None:
        self._chapter("5. While that waits for you, other tasks go on")
        (self._stage.home / _SITE).mkdir()
        self._drop("release-notes.md")
        self._drop("site.yaml")
        self._say(f"The first is written in Markdown; the second works in a folder of yours, here ~/{_SITE}/.")
        self._follow({"release-notes": State.DONE, "site": State.DONE})

    def _answer(self) -> None:
        self._chapter("6. You answer by writing a file")
        answer = self._file("choose-database", "answer.md")
        self._say("You would do this with any editor, on any device; now the demo does it for you:")
        answer.write_text(f"{_ANSWER}\n", encoding="utf-8")
        self._show(answer)
        self._follow({"choose-database": State.DONE})
        self._say("The same session went on: what Claude had found out before was not lost. And it did as you said:")
        self._show(self._file("choose-database", "work/decision.md"))

    def _what_is_left(self) -> None:
        self._stage.stop_daemon()
        self._chapter("What is in the folder now")
        for line in tree(self._stage.layout, _WIDTH):
            self._tell(f"   {line}", Tone.FILE)
        self._say("Left out here: result.json, record.json and run-N.jsonl, for programs and for the curious.")

    def _closing(self) -> None:
        self._chapter("Now with the real Claude")
        for command, remark in (
            ("pip install 'dropbox-runner[claude]'", "unless you have `claude` on your PATH already"),
            ("dropbox-runner init ~/inbox", ""),
            ("dropbox-runner run ~/inbox", "^C stops it; `dropbox-runner service` keeps it"),
        ):
            self._command(f"{command:<38}{remark and '# '}{remark}".rstrip())
        self._say(f"Then drop a task into ~/inbox. The five samples lie in {samples()}.")
        self._say("Once more: no Claude was involved here. A stand-in played its part; it has cost nothing.", Tone.NOTE)
        if not self._keep:
            self._say("The folder of this demo is removed now; `dropbox-runner demo --keep` keeps it.")

    def _chapter(self, title: str) -> None:
        self._tell("", Tone.TELL)
        self._tell(title, Tone.TITLE)

    def _say(self, text: str, tone: Tone = Tone.TELL) -> None:
        for line in textwrap.wrap(text, _WIDTH - 3, break_on_hyphens=False, break_long_words=False):
            self._tell(f"   {line}", tone)

    def _command(self, text: str) -> None:
        self._tell(f"   $ {text}", Tone.COMMAND)

    def _drop(self, sample: str) -> None:
        self._command(f"cp sample_inbox/{sample} inbox/")
        self._stage.drop(sample)

    def _show(self, path: Path, upto: str | None = None) -> None:
        """Show what stands in a file, under its path as a person in the folder sees it."""
        if path.is_relative_to(self._stage.layout.root):
            self._tell(f"   {path.relative_to(self._stage.layout.root)}", Tone.MOVE)
        text = path.read_text(encoding="utf-8").partition(upto or "\0")[0]
        for line in text.rstrip().splitlines():
            for part in textwrap.wrap(line, _WIDTH - 5, drop_whitespace=False, break_on_hyphens=False) or [""]:
                self._tell(f"   │ {part}".rstrip(), Tone.FILE)

    def _file(self, task: str, name: str) -> Path:
        return self._stage.layout.task(self._seen[task], task) / name

    def _follow(self, wanted: dict[str, State]) -> None:
        """Tell each move of these tasks until all are where they should be."""
        waited = " and ".join(f"{state}/{name}/" for name, state in wanted.items())
        self._stage.wait_for(waited, lambda: self._look(wanted))

    def _look(self, wanted: dict[str, State]) -> bool:
        for name in wanted:
            state = self._stage.layout.find(name)
            before = self._seen.get(name)
            # Every run begins in pending/; it is told together with where the task goes from there.
            if state in (None, State.PENDING, before):
                continue
            self._seen[name] = state
            self._tell(f"   {name}: {' → '.join(_way(before, state))}", Tone.MOVE)
            if state is not State.RUNNING and state is not wanted[name]:
                raise self._stage.trouble(f"{name} came to {state}/ instead of {wanted[name]}/")
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
