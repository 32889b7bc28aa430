"""A real `systemd --user`, with nothing of the machine's own one in reach."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness import STATES, World, alive, wait_until

UNIT = "dropbox-runner.service"
_SCRIPT = Path(__file__).with_name("user_manager.sh")
_RUNTIME_DIR = "/run/user/0"


def missing() -> str:
    """Why there can be none here, or nothing."""
    if os.geteuid() != 0:
        return "a mount namespace of its own needs root"
    tools = ("unshare", "nsenter", "setpriv", "systemctl", "systemd-analyze", "dbus-daemon", "/lib/systemd/systemd")
    gone = [tool for tool in tools if shutil.which(tool) is None]
    if gone:
        return f"not installed: {', '.join(gone)}"
    if not all(os.access(path, os.W_OK) for path in _cgroups()):
        return "the cgroups cannot be written"
    possible = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/run"], check=False).returncode == 0
    return "" if possible else "no mount namespace can be made"


def _cgroups() -> Iterator[Path]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, path, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            yield Path(path)


class UserManager:
    """The user's service manager; the user's home is that of a World."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._cgroup = ""
        self.log = world.base / "service.log"
        self._drop_in = world.home / "config/systemd/user" / f"{UNIT}.d" / "test.conf"
        world.environment["XDG_RUNTIME_DIR"] = _RUNTIME_DIR
        # Quick enough for a test, and the log where a test can read it.
        self.configure("RestartSec=100ms", "TimeoutAbortSec=5")

    def configure(self, *service: str, unit: tuple[str, ...] = ()) -> None:
        """What a person would say in `systemctl --user edit`."""
        output = [f"StandardOutput=append:{self.log}", f"StandardError=append:{self.log}"]
        lines = ["[Unit]", *unit, "[Service]", *output, *service]
        self._drop_in.parent.mkdir(parents=True, exist_ok=True)
        self._drop_in.write_text("\n".join(lines) + "\n")
        if self._process is not None:
            self.systemctl("daemon-reload")

    def start(self) -> None:
        """As a log-in or a boot does."""
        self._cgroup = f"dropbox-runner-test-{os.getpid()}-{next(self._numbers)}-{self._world.base.name}"
        with (self._world.base / "manager.log").open("ab") as log:
            self._process = subprocess.Popen(
                # Should the tests be killed, it does not stay behind.
                ["setpriv", "--pdeathsig=KILL", "unshare", "-m", "--propagation=private", str(_SCRIPT), self._cgroup],
                env=self._world.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        up = ("running", "degraded", "starting")
        wait_until(lambda: self._ask("is-system-running") in up, "the user manager never came up")

    def _ask(self, *arguments: str) -> str:
        return self.inside("systemctl", "--user", *arguments).stdout.strip()

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command where the manager is, as the user would in a terminal."""
        assert self._process is not None
        return subprocess.run(
            ["nsenter", "-m", "-t", str(self._process.pid), *command],
            env=self._world.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def systemctl(self, *arguments: str) -> None:
        done = self.inside("systemctl", "--user", *arguments)
        assert done.returncode == 0, f"systemctl {arguments}: {done.stderr}\n{self.story()}"

    def dropbox_runner(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.inside(sys.executable, "-m", "dropbox_runner", *arguments)

    def install(self, *options: str) -> str:
        """`service install` with what tests need; what it said."""
        given = ("--allow-root", f"--claude={self._world.claude}", "--settle=0.3", *options)
        done = self.dropbox_runner("service", "install", str(self._world.root), *given)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.story()}"
        return done.stdout

    def show(self, name: str) -> str:
        """A property of the unit."""
        return self._ask("show", "--value", f"--property={name}", UNIT)

    def pid(self) -> int:
        """The daemon's process; 0 when there is none."""
        return int(self.show("MainPID") or 0)

    def wait_for(self, name: str, value: str) -> None:
        wait_until(
            lambda: value in self.show(name),
            lambda: f"{name} is {self.show(name)!r} and never became {value!r}:\n{self.story()}",
            patience=20,
        )

    def wait_for_another(self, pid: int) -> int:
        """Wait until a daemon is up that is not this one."""
        wait_until(
            lambda: self.pid() not in (0, pid) and self.show("ActiveState") == "active",
            lambda: f"there never was a new daemon:\n{self.story()}",
            patience=20,
        )
        return self.pid()

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: text in self.said(), lambda: f"it never said {text!r}:\n{self.story()}")

    def said(self) -> str:
        """Everything that daemons have logged so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def story(self) -> str:
        """Everything that helps to understand why a test fails."""
        tasks = {state: sorted(path.name for path in (self._world.root / state).iterdir()) for state in STATES}
        manager = (self._world.base / "manager.log").read_text(errors="replace")
        return f"{tasks}\n--- daemon\n{self.said()}\n--- manager\n{manager}"

    def exit(self) -> None:
        """As the last log-out does, and a shutdown."""
        self.inside("systemctl", "--user", "exit")
        assert self._process is not None
        self._process.wait(30)
        self._clean_up()

    def end(self) -> None:
        """Leave nothing behind, whatever has happened."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._clean_up()

    def _clean_up(self) -> None:
        """End what is left in the manager's cgroup: that holds everything that was started by it, and nothing else."""
        self._process = None
        folders = [cgroup / self._cgroup for cgroup in _cgroups() if (cgroup / self._cgroup).is_dir()]
        left = {int(pid) for one in folders for file in one.rglob("cgroup.procs") for pid in file.read_text().split()}
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(alive, left)), "what the manager had started does not die")
        for one in folders:
            wait_until(lambda one=one: _removed(one), f"{one} cannot be removed")  # type: ignore[misc]


def _removed(cgroup: Path) -> bool:
    for path in sorted((path for path in (cgroup, *cgroup.rglob("*")) if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            path.rmdir()
    return not cgroup.exists()
