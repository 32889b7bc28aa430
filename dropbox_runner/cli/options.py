"""The options of `run`, which a service is installed with as well."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dropbox_runner.core.errors import RefusedError
from dropbox_runner.core.settings import Settings
from dropbox_runner.folder.config import load_settings

Claude = Annotated[str | None, typer.Option(metavar="PATH", help="The claude command.")]
MaxParallel = Annotated[int | None, typer.Option(metavar="N", help="How many agents at a time.")]
Poll = Annotated[str | None, typer.Option(metavar="S", help="Look every S seconds, without a watcher.")]
Settle = Annotated[str | None, typer.Option(metavar="S", help="How long a file must have been quiet.")]
Config = Annotated[Path | None, typer.Option(metavar="FILE", readable=False, help="The settings file.")]
TakeOver = Annotated[bool, typer.Option("--take-over", help="From now on this machine runs the folder.")]
AllowRoot = Annotated[bool, typer.Option("--allow-root", help="Run as root (for containers and tests).")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]


@dataclass(frozen=True)
class Overrides:
    """What the command line says about settings."""

    claude: str | None
    max_parallel: int | None
    poll: str | None
    settle: str | None
    config: Path | None

    def settings(self) -> Settings:
        """Read the settings file as it is now, and lay these options over it."""
        given = {"claude": self.claude, "max_parallel": self.max_parallel}
        settings = load_settings(self.config, {**given, "poll": _seconds(self.poll), "settle": _seconds(self.settle)})
        return settings if self.settle is None else settings.model_copy(update={"answer_settle": settings.settle})

    def arguments(self) -> list[str]:
        """Return them as they are to be given to a `run` that starts somewhere else."""
        path = self.claude is not None and os.sep in self.claude
        claude = os.path.abspath(os.path.expanduser(self.claude)) if path and self.claude else self.claude  # noqa: PTH100, PTH111 - links must stay
        config = self.config and self.config.expanduser().absolute()
        given = {"claude": claude, "max-parallel": self.max_parallel, "poll": self.poll, "settle": self.settle}
        return [f"--{name}={value}" for name, value in {**given, "config": config}.items() if value is not None]


def _seconds(text: str | None) -> str | float | None:
    # On the command line a bare number is the natural way; in a file it would leave a reader guessing.
    try:
        return float(text) if text is not None else None
    except ValueError:
        return text


def check_user(*, allow_root: bool) -> None:
    """RefusedError when every task would run as root and nobody has said that this is meant."""
    if os.geteuid() == 0 and not allow_root:
        raise RefusedError("every task would run as root. Start it as a user, or say --allow-root if that is meant.")
