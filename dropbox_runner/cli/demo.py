"""`demo`: the whole story, with a stand-in in claude's place."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated, Final

import typer
from rich.console import Console

from dropbox_runner.demo.stage import InterruptedDemoError, stage
from dropbox_runner.demo.story import Story, Tone

_STYLES: Final = {
    Tone.TELL: "",
    Tone.TITLE: "bold",
    Tone.COMMAND: "bold green",
    Tone.MOVE: "cyan",
    Tone.FILE: "dim",
    Tone.NOTE: "yellow",
}
_SIGNALLED: Final = 128
"""What a shell adds to the number of the signal that has ended a program."""


def demo(*, keep: Annotated[bool, typer.Option("--keep", help="Keep the folder, and print its path.")] = False) -> None:
    """Show the whole story in a temporary folder, with a stand-in for claude: no account, no cost, ten seconds."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no arrows can show the rest
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)

    def tell(line: str, tone: Tone) -> None:
        console.print(line, style=_STYLES[tone])

    try:
        with stage(keep=keep) as set_up:
            try:
                Story(set_up, tell, keep=keep).play()
            finally:
                if keep:
                    tell(f"\nKept: {set_up.root}", Tone.TELL)
    except InterruptedDemoError as interrupted:
        tell("\nStopped: nothing of the demo runs any more.", Tone.TELL)
        raise typer.Exit(_SIGNALLED + interrupted.number) from None
