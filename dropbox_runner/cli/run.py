"""`run`: the daemon, in the foreground."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from dropbox_runner.agent.agents import Agents
from dropbox_runner.agent.environment import INBOX, Commands, command_script, shell_setup_script
from dropbox_runner.agent.program import claude_to_start
from dropbox_runner.cli import options
from dropbox_runner.cli.common import FolderArgument, inbox, meant
from dropbox_runner.core.errors import NotOursError, RefusedError
from dropbox_runner.core.settings import Settings
from dropbox_runner.daemon import logs
from dropbox_runner.daemon.doorbell import Doorbell
from dropbox_runner.daemon.local import Local
from dropbox_runner.daemon.lock import FolderLock
from dropbox_runner.daemon.notify import Manager
from dropbox_runner.daemon.service import Service
from dropbox_runner.daemon.watching import BLIND_POLL, Watching
from dropbox_runner.folder import durable, owner
from dropbox_runner.folder.ground import check_moves
from dropbox_runner.folder.layout import Layout, local_state
from dropbox_runner.folder.store import Store
from dropbox_runner.folder.trust import check_folder
from dropbox_runner.views.statuspage import StatusPage

log = logging.getLogger("dropbox_runner")

_INTERRUPTED = 130
_STDERR = 2
_GARBAGE = 100_000
"""New objects until Python looks for cycles. We make hardly any, and with a queue of 50,000 tasks that search, begun
anew at every few hundred objects, took half of the time of every look."""


def run(
    folder: FolderArgument = None,
    *,
    drain: Annotated[bool, typer.Option("--drain", help="Return when nothing is pending or running any more.")] = False,
    claude: options.Claude = None,
    max_parallel: options.MaxParallel = None,
    poll: options.Poll = None,
    settle: options.Settle = None,
    config: options.Config = None,
    take_over: options.TakeOver = False,
    allow_root: options.AllowRoot = False,
    verbose: options.Verbose = False,
) -> None:
    """Watch the folder and run what is dropped into it, until stopped by SIGTERM or ^C."""
    options.check_user(allow_root=allow_root)
    logs.set_up(verbose=verbose)
    overrides = options.Overrides(claude, max_parallel, poll, settle, config)
    settings = overrides.settings()
    manager = Manager(os.environ)
    if not drain:
        _await(meant(folder, settings.folder), manager)
    layout = inbox(folder, settings.folder)
    lock = FolderLock(local_state(layout) / "lock", layout.root)
    try:
        again = overrides.settings
        code = _serve(layout, settings, again, manager, drain=drain, take_over=take_over, watch=poll is None)
    finally:
        lock.release()
    if code:
        raise typer.Exit(code)


def _await(layout: Layout, manager: Manager) -> None:
    """Wait for a folder that was run here before and is away: that of a disk which is mounted later, or by hand.

    A service that ended for it would not be started again, and a machine that reboots at night is to go on by itself.
    """
    if _is_there(layout) or not local_state(layout).exists():
        return
    waiting = f"{layout.root} was run here before and is away (is its disk mounted?); waiting for it"
    log.warning("%s. To begin a new one: dropbox-runner init %s", waiting, layout.root)
    while not _is_there(layout):
        manager.looked(waiting)
        time.sleep(BLIND_POLL)
    log.info("%s is there again", layout.root)


def _is_there(layout: Layout) -> bool:
    try:
        return layout.hidden.is_dir() or layout.exists()
    except PermissionError:
        return True  # that is another trouble, with a mend of its own


def _serve(
    layout: Layout,
    settings: Settings,
    read_settings: Callable[[], Settings],
    manager: Manager,
    *,
    drain: bool,
    take_over: bool,
    watch: bool,
) -> int:
    _make_ready(layout, settings, take_over=take_over)
    if drain and claude_to_start(settings) is None:
        raise RefusedError(f"the claude command ({settings.claude}) was not found, so nothing could ever be drained.")
    corner = local_state(layout)
    local = Local.at(corner)
    for folder in (corner, local.gate.path.parent, local.commands.folder, corner.parents[1]):
        durable.remove_halves(folder)
    bell = Doorbell()
    watching = Watching(layout, local.gate.path.parent, bell) if watch else None
    _provide(local.commands)
    here = owner.this_machine(layout)

    def keep() -> None:
        """Make this machine's corner again when somebody has cleared it away: agents could not even ask any more."""
        if not local.commands.shell_setup.exists():
            owner.remember(here)
            Local.at(corner)
            _provide(local.commands)
            log.warning("%s was cleared away, and has been made again", corner)

    service = Service(
        layout,
        settings,
        local,
        manager,
        agents=Agents(),
        read_settings=read_settings,
        watching=watching,
        bell=bell,
        show=StatusPage(layout).update,
        keep=keep,
    )
    received = _listen(service)
    # The watchdog ends a loop that hangs with SIGABRT: then the log says in which line it hung.
    faulthandler.enable()
    gc.set_threshold(_GARBAGE)
    log.info("watching %s (%s)", layout.root, _in_words(settings, watch=watch))
    try:
        service.run(drain=drain)
    finally:
        if watching is not None:
            watching.close()
    log.info("stopped")
    if signal.SIGINT in received:
        return _INTERRUPTED
    return 1 if drain and service.failed else 0


def _make_ready(layout: Layout, settings: Settings, *, take_over: bool) -> None:
    """Make sure that the folder is fit to be run, and this machine's to run; RefusedError when it is not."""
    check_folder(layout, settings.trusted_group)
    try:
        owner.claim(layout, take_over=take_over)
    except NotOursError:
        _end_what_is_left(layout)
        raise
    Store(layout).make()
    Store(layout).tidy()
    check_moves(layout)


def _end_what_is_left(layout: Layout) -> None:
    """End the agents that an earlier daemon has left at work in a folder that another machine has taken over since.

    That one does their work now. Those that were started with another home of ours (XDG_STATE_HOME) are not known here:
    the other machine is this one then, and they are at the right place.
    """
    ledger, agents = Local.at(local_state(layout)).ledger, Agents()
    for run_id in agents.strays(INBOX, str(layout.root)):
        if ledger.knows_start(run_id) and (swept := agents.sweep(run_id)):
            log.warning("what still worked here was ended: %s", ", ".join(swept))


def _listen(service: Service) -> list[int]:
    received: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        service.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGUSR1, lambda *_: service.hand_over())
    # A terminal that is closed sends SIGHUP too: then it means what ^C would, unless nohup has said otherwise.
    on_terminal = os.isatty(_STDERR) and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    def hang_up(number: int, frame: FrameType | None) -> None:
        if on_terminal and not os.isatty(_STDERR):
            stop(number, frame)
        else:
            service.reload()

    signal.signal(signal.SIGHUP, hang_up)
    return received


def _provide(commands: Commands) -> None:
    commands.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    script = commands.folder / "dropbox-runner"
    # Replaced in one step: agents that outlived the last daemon may be calling it right now.
    _keep(script, command_script().encode(), mode=0o700)
    _keep(commands.shell_setup, shell_setup_script(script, os.environ).encode(), mode=0o600)


def _keep(path: Path, data: bytes, mode: int) -> None:
    # Not written anew for nothing: also on a full disk a daemon must come up, and see to the agents that still work.
    with suppress(OSError, durable.UnreadableError):
        if durable.read(path) == data:
            return
    durable.write(path, data, mode)


def _in_words(settings: Settings, *, watch: bool) -> str:
    agents = "one agent at a time" if settings.max_parallel == 1 else f"up to {settings.max_parallel} agents at a time"
    how = "" if watch else f", looking every {settings.poll:g} s"
    boxed = ", in the sandbox" if settings.sandbox != "none" else ""
    return f"{agents}, claude: {claude_to_start(settings) or 'not found'}{boxed}{how}"
