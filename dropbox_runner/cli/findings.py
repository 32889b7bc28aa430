"""What `doctor` and `service status` have looked at, each trouble with its mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import typer

from dropbox_runner.cli import systemd
from dropbox_runner.cli.unit import NAME, is_ours, unit_file


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    fine: bool
    text: str
    mend: str = ""


def report(findings: Iterable[Finding]) -> bool:
    """Print them, and return whether all is as it must be."""
    fine = True
    for one in findings:
        typer.echo(f"{'ok  ' if one.fine else 'BAD '} {one.text}")
        if one.mend:
            typer.echo(f"       → {one.mend}")
        fine = fine and one.fine
    return fine


def service_findings() -> Iterator[Finding]:
    """Look at the service: whether it is installed, runs, and goes on running."""
    file = unit_file()
    if not file.is_file():
        install = "to have it started by itself: dropbox-runner service install"
        yield Finding(fine=True, text="service: not installed", mend=install)
        return
    yield Finding(fine=True, text=f"service: installed ({file})")
    if not is_ours(file.read_text(errors="replace")):
        yield Finding(fine=True, text="service: that unit was not made by `dropbox-runner service install`")
    if why := systemd.unreachable():
        yield Finding(fine=True, text=f"service: whether it runs cannot be told, no user manager answers ({why})")
        return
    yield from _running(systemd.unit(NAME))
    yield lingering()


def _running(unit: systemd.Unit) -> Iterator[Finding]:
    if not unit.enabled:
        mend = f"systemctl --user enable {NAME}"
        yield Finding(fine=False, text="service: does not start by itself (not enabled)", mend=mend)
    start = f"systemctl --user restart {NAME}"
    if unit.active in ("active", "reloading"):
        text = f"service: runs (pid {unit.pid}, since {unit.since})"
        yield Finding(fine=True, text=f"{text}: {unit.status}" if unit.status else text)
    elif unit.result == "success" and unit.active == "inactive":
        yield Finding(fine=True, text="service: stopped", mend=start)
    else:
        # After many tries in a row systemd refuses a start until it is told to forget them.
        mend = f"journalctl --user -u {NAME} says why; then: systemctl --user reset-failed {NAME}; {start}"
        yield Finding(fine=False, text=f"service: {unit.active} ({unit.result}, since {unit.since})", mend=mend)


def lingering() -> Finding:
    """Say whether a service outlives a log-out."""
    if systemd.lingers():
        return Finding(fine=True, text="lingering: on (services run without you being logged in)")
    text = "lingering: off; the service ends when you log out, and is not started at boot"
    return Finding(fine=False, text=text, mend=f"loginctl enable-linger {systemd.user()}")
