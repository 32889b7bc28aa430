"""Which commands there are. Only the module of the one that is called is imported: `ask` runs inside every agent."""

from __future__ import annotations

import importlib
from typing import Annotated, Final, NoReturn

import typer

from dropbox_runner.cli.words import TAKING_TEXT, text_last

COMMANDS: Final = {
    "init": "initialise",
    "run": "run",
    "demo": "demo",
    "status": "status",
    "show": "show",
    "doctor": "doctor",
    "service": "service",
    "add": "add",
    "answer": "answer",
    "cancel": "cancel",
    "retry": "retry",
    "pause": "pause",
    "resume": "resume",
    "validate": "validate",
    "schema": "schema",
    "ask": "ask",
    "subtask": "subtask",
}
"""Command → module in this package; the module's function of the same name is the command."""
GROUPS: Final = {"service": ("install", "uninstall", "status")}
"""Commands that have commands of their own: the functions of these names."""


def run(arguments: list[str]) -> NoReturn:
    """Run one command; ends in SystemExit with its exit code, or in a RunnerError."""
    wanted = arguments[0] if arguments and arguments[0] in COMMANDS else None
    if wanted in TAKING_TEXT:
        arguments = [arguments[0], *text_last(arguments[1:])]
    raise SystemExit(_application(wanted)(arguments, prog_name="dropbox-runner"))


def _application(wanted: str | None) -> typer.Typer:
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Drop a task file into a folder; claude works on it, asks by leaving a file, and goes on when you answer.",
    )
    app.callback()(_version)
    for name, module in COMMANDS.items():
        if wanted in (None, name):
            loaded = importlib.import_module(f"dropbox_runner.cli.{module}")
            if name in GROUPS:
                group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=loaded.__doc__)
                for one in GROUPS[name]:
                    group.command(one)(getattr(loaded, one))
                app.add_typer(group, name=name)
            else:
                app.command(name)(getattr(loaded, module))
    return app


def _version(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version)] = False
) -> None:
    """Drop a task file into a folder; claude works on it, asks by leaving a file, and goes on when you answer."""


def _print_version(*, version: bool) -> None:
    if version:
        from dropbox_runner import __version__  # noqa: PLC0415 - only wanted here

        typer.echo(__version__)
        raise typer.Exit
