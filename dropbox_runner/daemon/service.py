"""The loop: look → decide → perform. The only place where everything meets."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dropbox_runner.agent.agents import Agents
from dropbox_runner.agent.processes import boot_id
from dropbox_runner.core import trace
from dropbox_runner.core.clock import Now
from dropbox_runner.core.decide import decide
from dropbox_runner.core.errors import RefusedError, RunnerError
from dropbox_runner.core.headline import headline
from dropbox_runner.core.plan import Plan
from dropbox_runner.core.seen import Limits, Look
from dropbox_runner.core.settings import Settings, changes
from dropbox_runner.core.states import State
from dropbox_runner.daemon.arrivals import Arrivals
from dropbox_runner.daemon.desk import Desk, first_line
from dropbox_runner.daemon.doorbell import Doorbell
from dropbox_runner.daemon.holding import Holding
from dropbox_runner.daemon.lingering import Lingering
from dropbox_runner.daemon.local import Local
from dropbox_runner.daemon.look import Looker
from dropbox_runner.daemon.notify import Manager
from dropbox_runner.daemon.refusals import Refusals
from dropbox_runner.daemon.watching import BLIND_POLL, Watching
from dropbox_runner.folder.ground import Ground
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.store import Store

log = logging.getLogger("dropbox_runner")

_LONGEST_WORK: Final = 1.0
"""Seconds after which to look again, with whatever is still to be done: somebody may have answered meanwhile."""


def read_clock() -> Now:
    """Return the present moment."""
    return Now(wall=datetime.now(UTC), steady=time.monotonic(), boot=boot_id())


class Service:
    """One daemon for one folder."""

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        local: Local,
        manager: Manager,
        *,
        agents: Agents,
        read_settings: Callable[[], Settings],
        watching: Watching | None,
        bell: Doorbell,
        show: Callable[[Look, Plan, Now, Sequence[str]], None] = lambda *_: None,
        keep: Callable[[], None] = lambda: None,
        clock: Callable[[], Now] = read_clock,
    ) -> None:
        self._layout = layout
        self._read_settings = read_settings
        self._store = Store(layout)
        self._local = local
        self._agents = agents
        self._arrivals = Arrivals()
        self._ground = Ground(layout)
        self._lingering = Lingering()
        self._use(settings)
        self._manager = manager
        self._watching = watching
        self._bell = bell
        self._clock = clock
        self._show = show
        self._keep = keep
        self._refusals = Refusals()
        self._trouble = ""
        self._unread = ""
        """Why the settings could not be read again, if that is so."""
        # What a signal has asked for. Its handler does nothing but set these: it may come between any two lines.
        self._stops = 0
        self._leave = False
        self._reload = False
        self._silent = False
        self.failed: list[str] = []
        """The tasks that went to failed/ since the start."""

    def stop(self) -> None:
        """Stop the agents, then return from `run`; asked again, kill them. Safe in a signal handler."""
        self._stops += 1
        self._leave = False  # of two contrary orders the later one holds
        self._bell.ring()

    def hand_over(self) -> None:
        """Return from `run` and leave the agents alone; the next daemon adopts them. Safe in a signal handler."""
        self._leave = True
        self._bell.ring()

    def reload(self) -> None:
        """Read the settings again before the next look. Safe in a signal handler."""
        self._reload = True
        self._bell.ring()

    def _limits(self) -> Limits:
        # Asked a second time to stop: somebody is in a hurry.
        grace = 0.0 if self._stops > 1 else self._settings.stop_grace
        return Limits(self._settings.max_parallel, grace, stopping=self._stops > 0)

    def _use(self, settings: Settings) -> None:
        """Make everything that is made from the settings: here and nowhere else, so that a reload forgets nothing."""
        self._settings = settings
        holding = Holding(self._layout, settings, self._local)
        self._looker = Looker(
            self._layout, settings, self._agents, self._arrivals, holding, self._ground, self._lingering
        )

    def _read_again(self) -> None:
        """Take the settings as they are now; when they cannot be understood, the old ones hold."""
        self._reload = False
        self._manager.reloading()
        try:
            settings = self._read_settings()
        except RunnerError as error:
            self._unread = f"the settings could not be read again, the old ones hold: {first_line(str(error))}"
            log.error("%s", self._unread)  # noqa: TRY400 - a person's mistake, not ours: no traceback
            return
        self._unread = ""
        log.info("settings read again: %s", ", ".join(changes(self._settings, settings)) or "nothing has changed")
        named = settings.folder if settings.folder != self._settings.folder else None
        if named and Layout.of(Path(named)) != self._layout:
            log.warning("this daemon goes on with %s; another folder needs a restart", self._layout.root)
        self._use(settings)

    def run(self, *, drain: bool = False) -> None:
        """Look and act until told to stop; with `drain`, until nothing is left to be done without a person."""
        while not self._leave:
            if self._reload and not self._stops:
                self._read_again()
            try:
                look, planned = self.tick()
            except OSError as error:
                self._blind(error)
                continue
            except RefusedError:
                # It is another machine's now: whatever still works here would do that one's work a second time.
                for run_id in self._agents.watched():
                    self._agents.sweep(run_id)
                raise
            if planned.actions:
                continue  # what was seen is no longer so: one of them may have started an agent
            if self._stops and not _running(look) and not self._agents.watched():
                break
            if drain and _drained(look):
                break
            self._bell.wait(self._pause(planned), self._agents.descriptors())
        self._manager.stopping(0.0)

    def _blind(self, error: OSError) -> None:
        """Wait when the folders cannot be read: that is not "there are no tasks"."""
        trouble = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        trouble = f"the folder cannot be read, nothing is done until it can: {trouble}"
        if trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble
        # A look that has failed, and has said why, has come to its end as well: a restart would not mend the folder.
        self._manager.looked(trouble)
        if self._stops:
            self._leave = True
        else:
            # Nothing rings when a disk is mounted again.
            self._bell.wait(min(self._longest_pause(), BLIND_POLL), self._agents.descriptors())

    def tick(self) -> tuple[Look, Plan]:
        """Look once and act on it. A plan without actions means: at rest."""
        trace.action("Look")
        now = self._clock()
        if self._watching is not None:
            self._arrivals.note(self._watching.hints())
        look = replace(self._looker.look(now, refused=len(self._refusals)), held=self._refusals.held(now))
        if self._trouble:
            log.info("the folder can be read again")
            self._trouble = ""
        if self._watching is not None:
            self._watching.attend(look)
        limits = self._limits()
        planned = self._refusals.left_out_of(decide(look, now, limits), now)
        self._tell(look, planned, now)
        if limits.stopping:
            self._manager.stopping(limits.stop_grace)
        self._manager.looked("; ".join(part for part in (headline(look), self._unread) if part))
        local = self._local
        desk = Desk(
            self._store, self._agents, local.ledger, local.gate, self._settings, local.commands, now, self.failed
        )
        # As long as the look took, on a busy machine: else a long queue would be looked at more than worked on.
        self._perform(planned, desk, max(_LONGEST_WORK, self._clock().steady - now.steady))
        return look, planned

    def _tell(self, look: Look, planned: Plan, now: Now) -> None:
        """Let people know. A full disk, or a text that cannot be read, is no reason not to act."""
        try:
            self._keep()
            self._local.notice.publish(planned, look.paused, now)
            self._show(look, planned, now, self.failed)
        except (OSError, RunnerError) as error:
            if not self._silent:
                log.warning("what is going on cannot be written down: %s", error)
            self._silent = True
        else:
            self._silent = False

    def _perform(self, planned: Plan, desk: Desk, seconds: float) -> None:
        """Do what there is time for; what is left over the next look plans again, after what is more urgent by then."""
        end = self._clock().steady + seconds
        told = self._told()
        for action in planned.actions:
            self._refusals.attempt(action, desk)
            self._manager.acted()
            if self._clock().steady > end or self._told() != told:
                break

    def _told(self) -> tuple[object, ...]:
        return self._leave, self._reload, self._stops

    def _pause(self, planned: Plan) -> float:
        times = self._refusals.again_at()
        if planned.wake_at is not None:
            times.append(planned.wake_at)
        now = self._clock().steady
        return min([self._longest_pause(), *(max(0.0, moment - now) for moment in times)])

    def _longest_pause(self) -> float:
        poll = self._settings.poll
        longest = self._watching.longest_pause(poll) if self._watching is not None else poll
        # Twice as often as it has to hear of us, as sd_watchdog_enabled(3) advises.
        return longest if self._manager.watchdog is None else min(longest, self._manager.watchdog / 2)


def _running(look: Look) -> bool:
    # Not one that has ended, and waits for somebody who is at an edit of it: the next daemon goes on with that.
    return any(one.state is State.RUNNING and one.record and one.record.open_run for one in look.tasks)


def _drained(look: Look) -> bool:
    # A file that is still empty, or open in an editor, may stay so for ever: that is not "pending".
    waits = [drop.wait for drop in look.drops]
    settling = any(wait is None or (wait.until is not None and wait.again is None) for wait in waits)
    return not settling and not look.later and all(one.state is State.BLOCKED for one in look.tasks)
