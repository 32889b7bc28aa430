"""`doctor`: is everything as it must be, and if not, what to do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

import typer

from dropbox_runner.agent.program import claude_to_start, claude_version, find_claude, find_program
from dropbox_runner.cli.common import FolderArgument, inbox
from dropbox_runner.cli.findings import Finding, report, service_findings
from dropbox_runner.core.durations import time_of_day
from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.settings import Settings
from dropbox_runner.daemon.confinement import try_sandbox
from dropbox_runner.daemon.inotify import usage
from dropbox_runner.daemon.lock import holder
from dropbox_runner.daemon.watching import BLIND_POLL, events_arrive
from dropbox_runner.folder import owner
from dropbox_runner.folder.config import load_settings
from dropbox_runner.folder.filesystem import filesystem_of
from dropbox_runner.folder.gatefile import GateFile
from dropbox_runner.folder.layout import GATE, Layout, local_state
from dropbox_runner.folder.trust import check_folder

_SCARCE: Final = 0.9
"""Of a limit: with less than a tenth left, the next program that starts may find nothing."""


def doctor(folder: FolderArgument = None) -> None:
    """Look whether everything is as it must be; each trouble with its mend. Exit 1 if there is any."""
    if not report(_findings(folder)):
        raise typer.Exit(1)


def _findings(folder: FolderArgument) -> Iterator[Finding]:
    try:
        settings = load_settings()
    except RunnerError as error:
        yield Finding(fine=False, text=f"settings: {error}")
        settings = Settings()
    yield _launcher(settings) if settings.launcher else _claude(settings)
    try:
        layout = inbox(folder, settings.folder)
    except RunnerError as error:
        yield Finding(fine=False, text=f"folder: {error}")
        return
    yield Finding(fine=True, text=f"folder: {layout.root}")
    yield _safe(layout, settings)
    if settings.sandbox != "none":
        yield _sandbox(layout, settings)
    yield _owner(layout)
    yield _gate(layout)
    yield _filesystem(layout)
    yield from _events(layout)
    pid = holder(local_state(layout) / "lock", layout.root)
    yield Finding(
        fine=pid is not None,
        text=f"daemon: runs (pid {pid})" if pid is not None else "daemon: does not run",
        mend="" if pid is not None else f"dropbox-runner run {layout.root}",
    )
    yield from service_findings()
    if os.geteuid() == 0:
        yield Finding(fine=False, text="user: root", mend="run it as a user: every task can do what you can do")


def _claude(settings: Settings) -> Finding:
    found = find_claude(settings.claude)
    if found is None:
        mend = "pip install 'dropbox-runner[claude]', or name it in the settings (`claude: /path/to/claude`)"
        return Finding(fine=False, text=f"claude: there is no command {settings.claude}", mend=mend)
    version = claude_version(found)
    if version is None:
        return Finding(fine=False, text=f"claude: {found} does not say its version", mend=f"try: {found} --version")
    return Finding(fine=True, text=f"claude: {found} ({version})")


def _safe(layout: Layout, settings: Settings) -> Finding:
    try:
        check_folder(layout, settings.trusted_group)
    except RunnerError as error:
        return Finding(fine=False, text=f"folder: {error}")
    return Finding(fine=True, text="folder: nobody else can write into it")


def _launcher(settings: Settings) -> Finding:
    found = find_program(settings.launcher[0])
    if found is None:
        text = f"launcher: there is no command {settings.launcher[0]}"
        return Finding(fine=False, text=text, mend="install it, or mend `launcher` in the settings")
    # What it starts may be in a container or on another host, and may cost: a run will tell.
    return Finding(fine=True, text=f"launcher: {found}, which is to start {claude_to_start(settings)}")


def _sandbox(layout: Layout, settings: Settings) -> Finding:
    trouble = try_sandbox(layout, settings)
    if trouble is None:
        return Finding(fine=True, text="sandbox: bubblewrap, and it holds")
    mend = "until that is mended nothing is started; `sandbox: none` does without"
    return Finding(fine=False, text=f"sandbox: {trouble}", mend=mend)


def _owner(layout: Layout) -> Finding:
    known = owner.owner_of(layout)
    if known is not None and known.id == owner.this_machine(layout).id:
        return Finding(fine=True, text="owner: this machine")
    whose = f"{known.host}" if known is not None else "nobody"
    return Finding(
        fine=False, text=f"owner: {whose}", mend="if no other machine runs it: dropbox-runner run --take-over"
    )


def _filesystem(layout: Layout) -> Finding:
    found = filesystem_of(layout.root)
    how = "" if found.tells_all else f"; not every change causes an event there: looked at every {BLIND_POLL:g} s"
    return Finding(fine=True, text=f"filesystem: {found.kind}, mounted at {found.mounted_at}{how}")


def _events(layout: Layout) -> Iterator[Finding]:
    now = usage()
    yield _limit("watches", now.watches, now.max_watches)
    yield _limit("instances", now.instances, now.max_instances)
    arrive = events_arrive(layout)
    yield Finding(
        fine=arrive,
        text="file events: arrive" if arrive else "file events: do not arrive in this folder",
        mend=""
        if arrive
        else f"none is needed: the folder is looked at every {BLIND_POLL:g} s; a local disk is faster",
    )


def _limit(what: str, used: int, most: int) -> Finding:
    scarce = used > most * _SCARCE
    return Finding(
        fine=not scarce,
        text=f"inotify {what}: {used:,} of {most:,} in use",
        mend=f"echo fs.inotify.max_user_{what}={most * 4} | sudo tee -a /etc/sysctl.d/50-inotify.conf; "
        "sudo sysctl --system"
        if scarce
        else "",
    )


def _gate(layout: Layout) -> Finding:
    gate, now = GateFile(local_state(layout) / GATE).read(), time.time()
    if gate is None or not gate.left(now):
        return Finding(fine=True, text="account: no trouble reported")
    until = time_of_day(gate.until, now)
    mend = "log in with `claude`, or mend the key or the payment; then: dropbox-runner resume"
    text = f"account: {gate.in_words(until)}"
    return Finding(fine=False, text=text, mend=mend if gate.why.value == "account" else "it goes on by itself")
