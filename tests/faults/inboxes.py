"""An inbox, a person who drops and answers, a daemon that may die at any moment, and what must hold in the end."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import faulty
import psutil
from faulty import STATES, Listener

ENDED = ("done", "failed")
PATIENCE = 20.0
_AT_REST_IN_VAIN = 2.0
_AGENT = Path(__file__).with_name("agent.sh")
_LEFT_OVER = re.compile(r"\..+\.tmp")
_MAY_BE_EMPTY = re.compile(r".*\.(jsonl|stderr)|cancel|PAUSE")


class BrokenError(AssertionError):
    """Something that must always hold did not."""


@dataclass(frozen=True)
class Do:
    """What the person does next, and when."""

    when: Callable[[Inbox], bool]
    act: Callable[[Inbox], None]
    brief: bool = True
    """Whether it is over at once, so that nobody needs to see it half done."""
    task: str = "x"
    """Once this one has ended there is nothing left to do it for."""


@dataclass(frozen=True)
class Scenario:
    """A small story that ends well, whatever happens on the way."""

    name: str
    script: tuple[Do, ...]
    ends: dict[str, str]
    """Task → the state that it must reach."""
    play: dict[str, str] = field(default_factory=dict)
    """TASK.TURN → what the agent does in that turn, as shell."""
    settings: dict[str, str] = field(default_factory=dict)
    starts: frozenset[str] = frozenset({"x"})
    """The tasks that are started, each once; no other ever is."""
    told: tuple[str, ...] = ()
    """What must have reached a session."""
    gone: tuple[str, ...] = ()
    """Texts that the person has taken away again."""
    from_the_start: bool = False
    """Whether starting up is a part of the story."""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


class Inbox:
    """Everything of one story below one folder, so that it can be copied while it is being told."""

    def __init__(self, base: Path, scenario: Scenario) -> None:
        self.base = base
        self.root = base / "inbox"
        self.agent = base / "agent"
        self.log = base / "daemon.log"
        self.mark = base / "fault"
        self.scenario = scenario
        self.strict = True
        """Whether it must all end as in the story; without its log a run may rightly take another way."""
        self.twins = False
        """Whether a power cut has left something in two places: then a copy with its reason in failed/ is right."""
        self._pid: int | None = None
        self._code = 0
        self._listener: Listener | None = None
        self.environment = {
            "HOME": str(base),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "XDG_STATE_HOME": str(base / "state"),
            "XDG_CONFIG_HOME": str(base / "config"),
        }

    def make(self) -> None:
        """Make what `init` makes, as far as `run` does not make it, and the agent."""
        for path in (self.root / ".dropbox-runner", self.agent / "sessions", self.agent / "play"):
            path.mkdir(parents=True, exist_ok=True)
        for path in (self.root / ".dropbox-runner", self.root):
            _sync(path)  # as `init` does: no daemon is ever started in half a folder
        self.configure()
        shutil.copy(_AGENT, self.agent / "claude")
        for name, text in self.scenario.play.items():
            (self.agent / "play" / name).write_text(text)
        (self.base / "said").write_text("[]")
        (self.base / "next").write_text("0")

    def configure(self) -> None:
        """Write the settings."""
        file = self.base / "config" / "dropbox-runner" / "config.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        # Looking often costs a little; here nothing may hang on an event that the fault has swallowed.
        settings = {"poll": "0.3s", "settle": "0.05s", "answer_settle": "0.05s", "max_cut_off": "20"}
        settings |= self.scenario.settings
        file.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))

    # ------------------------------------------------------------------ the person

    def drop(self, name: str, text: str, mtime: int | None = None) -> None:
        """Move a finished file in; it is on the disk for good when this returns."""
        self.put(name, text, mtime)

    def put(self, path: str, text: str, mtime: int | None = None) -> None:
        """Move a finished file to where it belongs; it is on the disk for good when this returns."""
        outside = self.root / ".dropbox-runner" / "outside"
        outside.write_text(self.saying(text))
        if mtime is not None:
            os.utime(outside, (mtime, mtime))
        _sync(outside)
        target = outside.rename(self.root / path)
        with suppress(FileNotFoundError):  # taken at once, and its folder has moved on
            _sync(target.parent)
        _sync(outside.parent)

    def saying(self, text: str) -> str:
        """Remember what the person has said: nothing of it may ever be lost."""
        said = self.base / "said"
        if text.strip():
            said.write_text(json.dumps([*json.loads(said.read_text()), text]))
        return text

    def allow(self, name: str) -> None:
        """Let the agent go on that waits for this."""
        (self.agent / name).touch()

    def where(self, task: str) -> str:
        """The state of a task, or "nowhere"."""
        return next((state for state in STATES if (self.root / state / task).is_dir()), "nowhere")

    def asks(self, task: str) -> bool:
        """Whether a task waits for an answer."""
        folder = self.root / "blocked" / task
        return (folder / "question.md").exists() and not (folder / "answer.md").exists()

    def queued(self, task: str) -> bool:
        """Whether a task lies complete in pending/."""
        return (self.root / "pending" / task / "task.yaml").exists() and "next" in self.record(task)

    def record(self, task: str) -> dict[str, object]:
        """What the runner knows of a task; nothing while it moves."""
        try:
            known: dict[str, object] = json.loads((self.root / self.where(task) / task / "record.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return known

    def works(self, task: str, times: int = 1) -> bool:
        """Whether claude was called so often for a task, and works on it now."""
        running = self.where(task) == "running" and '"pid"' in json.dumps(self.record(task))
        return running and sum(call.startswith(f"{task} ") for call in self.calls()) >= times

    def calls(self) -> list[str]:
        """How claude was called: `TASK start|resume|refused|unknown SESSION`, oldest first."""
        try:
            return (self.agent / "calls").read_text().splitlines()
        except FileNotFoundError:
            return []

    # ------------------------------------------------------------------ the daemon

    def tell(self, listener: Listener | None) -> None:
        """Play the whole story, with the listener at the daemon's elbow until something has gone wrong."""
        self._listener = listener
        self.start()
        try:
            self._play()
        finally:
            self.kill_everything()

    def start(self) -> None:
        """Start a daemon."""
        listener = None if self.mark.exists() else self._listener
        self._pid = faulty.fork(self.root, self.agent / "claude", self.environment, self.log, listener)

    def end(self, number: signal.Signals) -> None:
        """End the daemon, and wait for that."""
        if self._pid is not None:
            os.kill(self._pid, number)
            self._wait_for_end(number)

    def _wait_for_end(self, number: signal.Signals) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._daemon_lives():
            if time.monotonic() > deadline:
                raise BrokenError(f"the daemon does not end after {number.name}")
            time.sleep(0.005)

    def _daemon_lives(self) -> bool:
        if self._pid is None:
            return False
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            return True
        self._pid = None
        self._code = os.waitstatus_to_exitcode(status)
        with self.log.open("a") as log:
            log.write(f"(the daemon ended: {self._code})\n")
        if self._code == 0 and (left := self.left_processes()):
            raise BrokenError(f"the daemon was stopped, and not its agents: {left}")
        return False

    def _play(self) -> None:
        self.wait(self._no_twins)
        position = self.base / "next"
        for do in self.scenario.script[int(position.read_text()) :]:
            self.wait(lambda do=do: do.when(self) or self.where(do.task) in ENDED)  # type: ignore[misc]
            with self.alone() if do.brief else nullcontext():
                if do.when(self):
                    do.act(self)
                position.write_text(str(int(position.read_text()) + 1))
        self._rest()
        self.check()
        self._nothing_is_left_to_do()

    def _rest(self) -> None:
        """Let it come to its end, and stop the daemon; one that dies on the way is started once more."""
        self._code = -1
        while self._code != 0:
            self.wait(lambda: self.all_ended() and self._has_looked())
            self.end(signal.SIGTERM)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait, and start the daemon again whenever it has died, as systemd does."""
        deadline, resting = time.monotonic() + PATIENCE, 0.0
        while not condition():
            if not self._daemon_lives():
                time.sleep(0.02)
                self.start()
            resting = resting or time.monotonic() if self._nobody_works() else 0.0
            if time.monotonic() > deadline or (resting and time.monotonic() - resting > _AT_REST_IN_VAIN):
                raise BrokenError(f"this is not how it ends: {self.state()}")
            time.sleep(0.01)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep whoever copies this folder from doing so between an act and its being remembered."""
        with (self.base / "person.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _nobody_works(self) -> bool:
        tasks = [task for state in STATES for task in self.tasks(state)]
        return bool(tasks) and all(self.where(task) in ENDED for task in tasks)

    def tasks(self, state: str) -> list[str]:
        """The tasks of a state."""
        folder = self.root / state
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def state(self) -> dict[str, list[str]]:
        """What lies where."""
        return {state: self.tasks(state) for state in STATES} | {"inbox": [path.name for path in self._drops()]}

    def _drops(self) -> list[Path]:
        return [*self.root.glob("*.yaml")]

    def _no_twins(self) -> bool:
        live = Counter(task for state in STATES[:3] for task in self.tasks(state))
        return not set(live.values()) - {1}

    def all_ended(self) -> bool:
        """Whether everything has come to the end that it must come to."""
        live = [task for state in STATES[:3] for task in self.tasks(state)]
        ends = self.scenario.ends.items()
        expected = all(self.where(task) in ((state,) if self.strict else ENDED) for task, state in ends)
        return expected and not live and not self._drops()

    def kill_everything(self) -> None:
        """Leave no process behind, however this has ended."""
        if self._daemon_lives():
            self.end(signal.SIGKILL)
        for pid in self.left_processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # ------------------------------------------------------------------ what must hold

    def check(self) -> None:
        """Raise BrokenError unless everything holds that must hold whatever has happened."""
        self._each_task_once()
        self._nothing_run_twice()
        self._nothing_lost()
        self._no_halves()
        self._no_breakdown()
        if left := self.left_processes():
            raise BrokenError(f"processes outlived their task: {left}")

    def _each_task_once(self) -> None:
        found = Counter(task for state in STATES for task in self.tasks(state))
        ids = Counter(
            json.loads(path.read_bytes())["id"] for state in STATES for path in self.root.glob(f"{state}/*/record.json")
        )
        for task in reversed(self.tasks("failed")) if self.twins else ():
            folder = self.root / "failed" / task
            record = json.loads((folder / "record.json").read_bytes())
            a_copy = ids[record["id"]] > 1 or "the very file" in (folder / "error.md").read_text()
            if a_copy and (found[task] > 1 or task not in self.scenario.ends):
                found[task] -= 1
                ids[record["id"]] -= 1
        found, ids = +found, +ids
        if set(found) != set(self.scenario.ends) or set(found.values()) - {1} or set(ids.values()) - {1}:
            raise BrokenError(f"not every task is in exactly one folder: {self.state()}")
        for task in self.tasks("done") + self.tasks("failed"):
            text = "result.json" if self.where(task) == "done" else "error.md"
            if not (self.root / self.where(task) / task / text).exists():
                raise BrokenError(f"{task} has ended without a {text}")

    def _nothing_run_twice(self) -> None:
        started = Counter(call.split()[0] for call in self.calls() if call.split()[1] == "start")
        if set(started) - self.scenario.starts or set(started.values()) - {1}:
            raise BrokenError(f"not started once each: {self.calls()}")

    def _nothing_lost(self) -> None:
        kept = {path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        for text in json.loads((self.base / "said").read_text()):
            if text.encode() not in kept and text not in self.scenario.gone:
                raise BrokenError(f"lost: {text!r}")
        prompts = (self.agent / "prompts").read_text() if self.scenario.told else ""
        for text in self.scenario.told if self.strict else ():
            if text not in prompts:
                raise BrokenError(f"claude was never told: {text!r}")

    def _no_halves(self) -> None:
        for path in (*self.root.rglob("*"), *(self.base / "state").rglob("*")):
            # In failed/ nobody looks any more; handed back, it is tidied up.
            if _LEFT_OVER.fullmatch(path.name) and path.parts[len(self.root.parts)] != "failed":
                raise BrokenError(f"a temp file was left: {path}")
        for path in self.root.rglob("*"):
            seen = path.relative_to(self.root).parts
            if not path.is_file() or "work" in seen or any(part.startswith(".") for part in seen):
                continue
            data = path.read_bytes()
            if not data and not _MAY_BE_EMPTY.fullmatch(path.name):
                raise BrokenError(f"an empty file: {path}")
            if path.suffix == ".json":
                json.loads(data)

    def _no_breakdown(self) -> None:
        said = self.log.read_text(errors="replace")
        if "Traceback" in said or "this is a bug" in said:
            raise BrokenError("the daemon broke down")

    def left_processes(self) -> list[int]:
        """The processes that carry the mark of this inbox."""
        mark = f"DROPBOX_RUNNER_INBOX={self.root}\0".encode()
        found = []
        for pid in psutil.pids():
            with suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(pid)
        return found

    def _nothing_is_left_to_do(self) -> None:
        before, calls = self._everything(), self.calls()
        self.start()
        self._rest()
        if self._everything() != before or self.calls() != calls:
            changed = set(self._everything().items()) ^ set(before.items())
            raise BrokenError(f"a second recovery changed {sorted(name for name, _ in changed)}")

    def _has_looked(self) -> bool:
        """Whether the daemon has seen it as it is, and said so."""
        if not self._daemon_lives():
            return False
        for notice in self.base.glob("state/dropbox-runner/folders/*/notice.json"):
            with suppress(OSError, ValueError):
                return bool(json.loads(notice.read_bytes())["pid"] == self._pid)
        return False

    def _everything(self) -> dict[str, tuple[int, int]]:
        # STATUS.md only describes a moment; what it says of the last one depends on when the daemon was stopped.
        files = (path for path in self.root.rglob("*") if path.is_file() and path.name != "STATUS.md")
        seen = {str(path): path.lstat() for path in files}
        return {name: (one.st_ino, one.st_mtime_ns) for name, one in seen.items()}

    def story(self) -> str:
        """What helps to understand a failure."""
        files = sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())
        calls = "\n".join(self.calls())
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"{said}\ncalls:\n{calls}\nfiles:\n" + "\n".join(files)
