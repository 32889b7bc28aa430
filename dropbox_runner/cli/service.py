"""Install the daemon as a service of `systemd --user`, remove it, say how it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from dropbox_runner.agent.program import find_claude
from dropbox_runner.cli import options, systemd
from dropbox_runner.cli.common import FolderArgument, inbox
from dropbox_runner.cli.findings import Finding, lingering, report, service_findings
from dropbox_runner.cli.unit import NAME, is_ours, render, unit_file
from dropbox_runner.core.errors import RefusedError, RunnerError
from dropbox_runner.daemon.lock import holder
from dropbox_runner.folder import durable, owner
from dropbox_runner.folder.layout import Layout, local_state

_KEPT: Final = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "CLAUDE_CONFIG_DIR")
"""Where the settings, our own state and claude's login lie: what the shell says must hold for the service as well."""
_ACCOUNT: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN")


def install(
    folder: FolderArgument = None,
    *,
    claude: options.Claude = None,
    max_parallel: options.MaxParallel = None,
    poll: options.Poll = None,
    settle: options.Settle = None,
    config: options.Config = None,
    take_over: options.TakeOver = False,
    allow_root: options.AllowRoot = False,
    verbose: options.Verbose = False,
    only_print: Annotated[bool, typer.Option("--print", help="Print the unit and change nothing.")] = False,
) -> None:
    """Have `systemd --user` run the folder, now and from now on. Again: with other options; agents go on."""
    options.check_user(allow_root=allow_root)
    overrides = options.Overrides(claude, max_parallel, poll, settle, config)
    settings = overrides.settings()
    layout = inbox(folder, settings.folder)
    flags = [*(["--allow-root"] if allow_root else []), *(["--verbose"] if verbose else [])]
    program = (sys.executable, "-P", "-m", "dropbox_runner")
    found = find_claude(settings.claude)
    text = render([*program, "run", str(layout.root), *overrides.arguments(), *flags], _environment(found))
    if only_print:
        typer.echo(text, nl=False)
        return
    _check(layout, program)
    # Once and not in the unit: else two machines would take the folder from each other at every start.
    owner.claim(layout, take_over=take_over)
    _put(text)
    typer.echo(f"{NAME} is installed and runs {layout.root} ({unit_file()}).")
    if found is None:
        typer.echo(f"The claude command ({settings.claude}) was not found; tasks wait until it is there.")
    for one in (lingering(), *_missing_variables()):
        typer.echo(one.text + (f"\n  → {one.mend}" if one.mend else ""))
    typer.echo(f"What it does: dropbox-runner status; its log: journalctl --user -u {NAME} -f")


def _environment(claude: str | None) -> Mapping[str, str]:
    """Return what the service needs of the present environment: above all a PATH with what the agents need."""
    own = str(Path(sys.executable).parent)
    usual = [str(Path(claude).parent)] if claude else []
    usual += [str(Path.home() / ".local" / "bin"), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    # Our own environment comes last: an agent's `python` is the user's.
    path = [one for one in dict.fromkeys(usual) if os.path.isabs(one) and one != own] + [own]  # noqa: PTH117 - a text
    return {"PATH": os.pathsep.join(path)} | {name: os.environ[name] for name in _KEPT if os.environ.get(name)}


def _check(layout: Layout, program: tuple[str, ...]) -> None:
    """Refuse what could not work, before anything is changed."""
    if why := systemd.works((*program, "--version")):
        raise RefusedError(f"{' '.join(program)} works only here ({why}). Install the package first (pip, pipx).")
    if why := systemd.unreachable():
        raise RunnerError(
            f"no `systemd --user` answers for {systemd.user()} ({why}). Log in as that user (not by sudo), or have it "
            f"started: loginctl enable-linger {systemd.user()}. Without systemd: dropbox-runner run {layout.root}"
        )
    known = systemd.unit(NAME)
    for file in filter(None, (str(unit_file()), known.file)):
        if os.path.lexists(file) and not is_ours(_read(Path(file))):
            raise RefusedError(f"{file} is there already, and not from us. Move it away first; nothing was changed.")
    pid = holder(local_state(layout) / "lock", layout.root)
    if pid is not None and pid != known.pid:
        raise RunnerError(f"{layout.root} is run by a daemon that is not the service (pid {pid}). Stop that one first.")


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""  # /dev/null, a link to nowhere: whatever it is, it is not from us


def _put(text: str) -> None:
    file = unit_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    durable.write(file, text.encode(), mode=0o644)
    _order("daemon-reload")
    if systemd.unit(NAME).file != str(file):
        raise RunnerError(
            f"{file} was written, but `systemd --user` does not look there: its XDG_CONFIG_HOME is another one "
            "than that of this shell."
        )
    _order("enable", NAME)
    if why := systemd.order("restart", NAME):
        said = "".join(f"\n  {line}" for line in systemd.last_words(NAME, errors_only=False))
        raise RunnerError(f"{NAME} was installed, but does not start: {why}{said}")


def _order(*arguments: str) -> None:
    if why := systemd.order(*arguments):
        raise RunnerError(f"systemctl --user {' '.join(arguments)}: {why}")


def _missing_variables() -> Iterator[Finding]:
    known = systemd.variables()
    names = [name for name in _ACCOUNT if name in os.environ and name not in known]
    if names:
        text = f"{', '.join(names)}: set in this shell, but services do not get it"
        yield Finding(fine=False, text=text, mend="put it into ~/.config/environment.d/claude.conf, and log in again")


def uninstall() -> None:
    """Stop the service and remove it. Tasks that run are stopped; they go on at the next start of a daemon."""
    file = unit_file()
    if not os.path.lexists(file):
        raise RunnerError(f"there is no service: {file} is not there.")
    if not is_ours(_read(file)):
        raise RefusedError(f"{file} is not from us; nothing was changed.")
    if why := systemd.unreachable():
        raise RunnerError(f"no `systemd --user` answers ({why}). Without it, all there is to do: rm {file}")
    _order("disable", "--now", NAME)
    durable.remove(file)
    _order("daemon-reload")
    systemd.order("reset-failed", NAME)  # what has failed would be listed for ever; most often there is nothing
    typer.echo(f"{NAME} is stopped and removed. The folder and what lies in it are as they were.")


def status() -> None:
    """Say whether the service is installed, runs, goes on running, and what went wrong last. Exit 1 if anything is."""
    fine = report(service_findings())
    if lines := systemd.last_words(NAME, errors_only=fine):
        typer.echo("\nThe last lines of its log:\n  " + "\n  ".join(lines))
    if not fine:
        raise typer.Exit(1)
