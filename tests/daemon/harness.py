"""One inbox with everything around it that a user has: a home, settings, a claude (the stand-in), a daemon, a shell."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

from dropbox_runner.standin.wrapper import write_wrapper

Step = dict[str, Any]
Steps = list[Step]
T = TypeVar("T")

STATES = ("pending", "running", "blocked", "done", "failed")
PATIENCE = 10.0
"""Seconds until a wait is given up. Nothing is measured with it, so it may be long."""


def wait_until(
    condition: Callable[[], T], failure: str | Callable[[], str], patience: float = PATIENCE, every: float = 0.01
) -> T:
    """Poll until the condition holds, and return what it gave; say the sentence if it never does."""
    end = time.monotonic() + patience
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(failure if isinstance(failure, str) else failure())
        time.sleep(every)
    return result


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


class Daemon:
    """A running `dropbox-runner run`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: text in self.log, lambda: f"the daemon never said {text!r}. It said:\n{self.log}")

    def wait_until_watching(self, notices: Path) -> None:
        """Wait for the end of its first look: from then on every event reaches it."""

        def noticed() -> bool:
            with contextlib.suppress(OSError, ValueError):
                return any(json.loads(one.read_bytes())["pid"] == self.pid for one in notices.rglob("notice.json"))
            return False

        wait_until(lambda: noticed() or self.process.poll() is not None, lambda: f"no start:\n{self.log}")
        assert self.process.poll() is None, f"the daemon ended at once:\n{self.log}"

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon did not end. It said:\n{self.log}") from None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """As the OOM killer would."""
        self.process.kill()
        self.process.wait()

    def cpu_ticks(self) -> int:
        """User and system time so far, in ticks of 10 ms."""
        fields = Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[11]) + int(fields[12])

    def wakeups(self) -> int:
        """How often any of its threads has waited for something and come back."""
        total = 0
        for status in Path(f"/proc/{self.pid}/task").glob("*/status"):
            lines = status.read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
        return total


class World:
    """An inbox, and a person who uses it."""

    def __init__(self, base: Path, *, watcher: bool = True) -> None:
        self.base = base
        self._watcher = watcher
        self.home = base / "home"
        self.root = base / "inbox"
        self.state_dir = base / "claude-state"
        self.claude = base / "claude"
        self._scenario = base / "scenario.json"
        self._daemons: list[Daemon] = []
        for path in (self.home, self.state_dir):
            path.mkdir()
        self.environment = {
            "HOME": str(self.home),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
        }
        self.config = self.home / "config" / "dropbox-runner" / "config.yaml"
        self._default: list[Steps] = []
        self._bystander: subprocess.Popen[bytes] | None = None
        self._rules: dict[str, list[Steps]] = {}
        self.play()
        write_wrapper(self.claude, self._scenario, self.state_dir)

    # ------------------------------------------------------------------ claude

    def play(self, *turns: Steps, rules: Mapping[str, list[Steps]] | None = None) -> None:
        """Set what claude does: run by run in each session; `rules` for those whose prompt holds a text."""
        self._default, self._rules = list(turns) or [[{"say": "All done."}]], dict(rules or {})
        self._write_scenario()

    def teach(self, match: str, *turns: Steps) -> None:
        """Add what claude does in the sessions whose prompt holds a text."""
        self._rules[match] = list(turns)
        self._write_scenario()

    def _write_scenario(self) -> None:
        rules = [{"match": match, "turns": steps} for match, steps in self._rules.items()]
        temporary = self._scenario.with_suffix(".tmp")
        temporary.write_text(json.dumps({"rules": rules, "default": self._default}))
        temporary.replace(self._scenario)

    def calls(self, instructions: str = "") -> list[dict[str, Any]]:
        """How claude was called so far, oldest first; only for prompts or sessions that began with this text."""
        try:
            lines = (self.state_dir / "invocations.jsonl").read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        # The last line may be half written at this moment.
        entries: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("\n")]
        sessions = {one["session_id"] for one in entries if instructions in (one.get("prompt") or "")}
        return [one for one in entries if one["session_id"] in sessions]

    # ------------------------------------------------------------------ daemon and commands

    @property
    def daemon(self) -> Daemon:
        """The one that was started first."""
        return self._daemons[0]

    def settings(self, **values: object) -> None:
        known = {"folder": json.dumps(str(self.root))} | values
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text("".join(f"{name}: {value}\n" for name, value in known.items()))

    def make(self) -> None:
        """`init`."""
        done = self.run("init", str(self.root))
        assert done.returncode == 0, done.stderr

    def copy_of(self, template: World) -> None:
        """The same without the time that a program takes to start: what `init` has made somewhere else."""
        shutil.copytree(template.root, self.root)
        shutil.copytree(template.home, self.home, dirs_exist_ok=True)
        self.settings()

    def start(
        self, *options: str, claude: Path | None = None, settle: str | None = "0.3", prefix: Sequence[str] = ()
    ) -> Daemon:
        """Start a daemon and wait until it watches."""
        daemon = self.launch(*options, claude=claude, settle=settle, prefix=prefix)
        daemon.wait_until_watching(self.home / "state")
        return daemon

    def launch(
        self, *options: str, claude: Path | None = None, settle: str | None = "0.3", prefix: Sequence[str] = ()
    ) -> Daemon:
        """Start a daemon."""
        log = self.base / f"daemon-{len(self._daemons)}.log"
        command = [*prefix, sys.executable, "-m", "dropbox_runner", "run", str(self.root), "--allow-root"]
        command += [f"--claude={claude or self.claude}"] + ([f"--settle={settle}"] if settle else []) + list(options)
        command += [] if self._watcher or "--poll" in options else ["--poll", "0.1"]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        daemon = Daemon(process, log)
        self._daemons.append(daemon)
        return daemon

    def run(
        self, *arguments: str, text: str | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of ours to its end."""
        return subprocess.run(
            [sys.executable, "-m", "dropbox_runner", *arguments],
            env=self.environment,
            cwd=cwd or self.home,
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def bystander(self) -> int:
        """Start a process that has nothing to do with any run, and return its pid."""
        command = ["sleep", "300"]
        self._bystander = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        return self._bystander.pid

    def end(self) -> None:
        """End everything that was started in this world, and nothing else."""
        if self._bystander is not None:
            self._bystander.kill()
            self._bystander.wait()
        for daemon in self._daemons:
            if daemon.process.poll() is None:
                daemon.kill()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid != os.getpid() and process.environ().get("HOME") == str(self.home):
                    process.kill()

    # ------------------------------------------------------------------ the person

    def drop(self, name: str, text: str) -> Path:
        """Write a file in place, as an editor does."""
        path = self.root / name
        path.write_text(text)
        return path

    def move_in(self, name: str, text: str | bytes = "instructions: work\n") -> Path:
        """Move a finished file in, as a file manager does."""
        outside = self.base / f"outside-{name[:50]}"
        outside.write_bytes(text.encode() if isinstance(text, str) else text)
        return outside.replace(self.root / name)

    def answer(self, task: str, text: str, name: str = "answer.md") -> None:
        """Move a finished answer in."""
        outside = self.base / f"outside-{name}"
        outside.write_text(text)
        outside.replace(self.root / "blocked" / task / name)

    def path(self, task: str) -> Path:
        """The folder of a task, wherever it is."""
        found = [path for state in STATES if (path := self.root / state / task).is_dir()]
        assert len(found) == 1, f"{task} lies in {[str(path) for path in found] or 'no folder'}"
        return found[0]

    def where(self, task: str) -> str | None:
        """The state of a task; None when it has none."""
        return next((state for state in STATES if (self.root / state / task).is_dir()), None)

    def wait_for(self, task: str, *states: str) -> Path:
        """Wait until the task lies in one of these states, and return its folder."""
        wait_until(lambda: self.where(task) in states, lambda: f"{task} never reached {states}:\n{self.story(task)}")
        return self.path(task)

    def wait_for_question(self, task: str) -> Path:
        """Wait until the task asks a person, who reads question.md, and return its folder."""
        folder = self.root / "blocked" / task
        wait_until((folder / "question.md").is_file, lambda: f"{task} never asked:\n{self.story(task)}")
        return folder

    def wait_until_queued(self, task: str) -> Path:
        """Wait until the task lies complete in pending/, and return its folder."""

        def queued() -> bool:
            with contextlib.suppress(OSError):
                return "next" in json.loads((self.root / "pending" / task / "record.json").read_bytes())
            return False

        wait_until(queued, lambda: f"{task} was never queued:\n{self.story(task)}")
        return self.root / "pending" / task

    def record(self, task: str) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.path(task) / "record.json").read_bytes())
        return data

    def agent_pid(self, task: str) -> int:
        """The process that works on a task, once the runner has written it down."""

        def pid() -> int:
            with contextlib.suppress(AssertionError, OSError, KeyError, IndexError):
                run = self.record(task)["runs"][-1]
                return int(run["process"]["pid"]) if "verdict" not in run else 0
            return 0

        return wait_until(pid, lambda: f"no process was ever written down for {task}:\n{self.story(task)}")

    def story(self, task: str) -> str:
        """Everything that helps to understand why a test fails."""
        folder = self.root / str(self.where(task)) / task
        files = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        logs = "\n".join(f"--- daemon {number}\n{one.log}" for number, one in enumerate(self._daemons))
        inbox = sorted(path.name for path in self.root.iterdir())
        return f"{task} is in {self.where(task)} with {files}; inbox: {inbox}\n{logs}"

    def errors(self) -> str:
        """What a person would read in a terminal as a breakdown of the program itself."""
        said = "".join(daemon.log for daemon in self._daemons)
        return said if "Traceback" in said or "this is a bug" in said else ""


def without_root_rights() -> tuple[str, ...]:
    """What to put before a command so that file permissions hold for it, also where the tests run as root."""
    if os.geteuid() != 0:
        return ()
    rights = "-dac_override,-dac_read_search"
    return ("setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}")
