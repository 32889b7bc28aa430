"""Where the demo plays: a folder with a home of its own, the real commands in it, and an end that leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import psutil

from dropbox_runner.agent.environment import command_script
from dropbox_runner.core.errors import RunnerError
from dropbox_runner.folder.layout import Layout
from dropbox_runner.standin.wrapper import write_wrapper

T = TypeVar("T")

_PATIENCE: Final = 30.0
"""Seconds after which something that has not happened never will."""
_LOOK_EVERY: Final = 0.05
_STOPPING_TAKES_AT_MOST: Final = 15.0
_LAST_WORDS: Final = 12
_HERE: Final = Path(__file__).resolve().parent


class DemoError(RunnerError):
    """The story did not go on as it should."""


class InterruptedDemoError(Exception):
    """Somebody wants the demo to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def samples() -> Path:
    """Return the folder of the sample tasks: in an installed package inside of it, in the source tree at the top."""
    packed = _HERE / "sample_inbox"
    return packed if packed.is_dir() else _HERE.parents[1] / "sample_inbox"


@contextmanager
def stage(*, keep: bool) -> Iterator[Stage]:
    """Make the folder; at the end, whatever it is, stop what was started in it and remove it (unless it is kept)."""
    with _noted_signals() as received:
        # Resolved, so that the paths we show are those that the daemon shows.
        root = Path(tempfile.mkdtemp(prefix="dropbox-runner-demo-")).resolve()
        try:
            set_up = Stage(root, received)
            try:
                yield set_up
            finally:
                set_up.end_processes()
        finally:
            if not keep:
                _remove(root)


@contextmanager
def _noted_signals() -> Iterator[Sequence[int]]:
    """Only note signals; they are heeded at the next look, so none can come where it would leave something behind."""
    received: list[int] = []
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else it was started by nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _remove(folder: Path) -> None:
    # Again and again: what was being stopped may have put one more file there while the first went through.
    end = time.monotonic() + _REMOVING_TAKES_AT_MOST
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)


_REMOVING_TAKES_AT_MOST = 5


class Stage:
    """A folder that holds everything: outside of it nothing is read or written but the samples."""

    def __init__(self, root: Path, received: Sequence[int]) -> None:
        self.root = root
        self.home = root / "home"
        self.layout = Layout.of(root / "inbox")
        self._received = received
        self._log = root / "daemon.log"
        self._command = root / "dropbox-runner"
        self._claude = root / "claude-stand-in"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.home.mkdir()
        # Runs this very program, also where it is not on PATH and not installed.
        self._command.write_text(command_script(), encoding="utf-8")
        self._command.chmod(0o700)
        write_wrapper(self._claude, _HERE / "scenario.json", root / "stand-in")

    def make_inbox(self) -> None:
        """`dropbox-runner init`, to its end."""
        process = self._start("init", str(self.layout.root))
        self.wait_for("`dropbox-runner init` to end", lambda: process.poll() is not None)
        self._processes.remove(process)
        if process.returncode:
            raise self.trouble(f"`dropbox-runner init` ended with {process.returncode}")

    def start_daemon(self) -> None:
        """`dropbox-runner run`, until it says that it watches the folder."""
        options = [f"--claude={self._claude}", "--settle=1", "--max-parallel=2"]
        options += ["--allow-root"] if os.geteuid() == 0 else []
        self._start("run", str(self.layout.root), *options)
        watching = f"watching {self.layout.root}"
        self.wait_for("the daemon to watch the folder", lambda: watching in self._log.read_text(errors="replace"))

    def stop_daemon(self) -> None:
        """Stop it, and see that it ends well."""
        if code := self.end_processes():
            raise self.trouble(f"the daemon ended with {code}")

    def drop(self, sample: str) -> None:
        """Copy a sample into the inbox, as `cp` does."""
        shutil.copyfile(samples() / sample, self.layout.root / sample)

    def wait_for(self, what: str, look: Callable[[], T | None]) -> T:
        """Look until there is something to see, and return it; DemoError if that takes too long."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            if self._received:
                raise InterruptedDemoError(self._received[0])
            if seen := look():
                return seen
            ended = next((one.returncode for one in self._processes if one.poll() is not None), None)
            if ended is not None:
                raise self.trouble(f"waited for {what}, but the daemon ended with {ended}")
            if time.monotonic() > deadline:
                raise self.trouble(f"waited {_PATIENCE:g} s for {what}")
            time.sleep(_LOOK_EVERY)

    def trouble(self, what: str) -> DemoError:
        """Say what went wrong, with the end of the daemon's log."""
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_WORDS:] if self._log.exists() else []
        tail = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return DemoError(
            f"the demo did not go on: {what}.\nThe daemon's last words:\n{tail}\n"
            "To look into its folder afterwards: dropbox-runner demo --keep"
        )

    def end_processes(self) -> int:
        """Stop what was started and still runs; return the exit code of the daemon, if it was that."""
        code = 0
        while self._processes:
            process = self._processes[-1]
            process.terminate()
            try:
                code = process.wait(_STOPPING_TAKES_AT_MOST)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            self._processes.pop()
        if code:
            self._end_agents()
        return code

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / ".local" / "state"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
        }
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [self._command, *arguments],
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # ^C in the terminal is for us; the daemon is stopped by us
            )
        self._processes.append(process)
        return process

    def _end_agents(self) -> None:
        # A daemon that ends well has stopped its agents itself; they survive any other end of it.
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get("DROPBOX_RUNNER_INBOX") == str(self.layout.root):
                    process.kill()
