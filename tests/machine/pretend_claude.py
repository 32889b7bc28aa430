"""A machine's processes and claude's sessions, pretended: what the daemon would find, without starting anything.

The agents do what the test tells them, one step at a time, and behave as claude was measured to: a session exists from
its first saved message, its id can be started only once, and what does not exist cannot be resumed.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from faulty_disk import Disk

from dropbox_runner.agent.agents import Agents, Launch
from dropbox_runner.core.run import ProcessId


@dataclass
class Session:
    """One conversation, as claude keeps it on its own disk."""

    heard: list[str] = field(default_factory=list)
    cost: float = 0.0


@dataclass(eq=False)
class Claude:
    """One process of claude."""

    identity: ProcessId
    run: str
    task: str
    session: str
    resumes: bool
    prompt: str
    out: int
    err: int
    question_file: Path
    alive: bool = True
    exit_code: int = 0
    deaf: bool = False
    """It does not end at SIGTERM."""
    began: bool = False
    """It has a session and has said so."""
    worked: bool = False
    """The model has said something."""
    over: bool = False
    """It has written its result."""


class Machine:
    """The processes of one computer, over its reboots."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.boots = 1
        self.refuses = False
        """Nothing can be started (fork: resource temporarily unavailable)."""
        self.processes: list[Claude] = []
        self.strangers: list[ProcessId] = []
        self.left_behind: set[str] = set()
        """Runs that have left something running in the background."""
        self.sessions: dict[str, Session] = {}
        self.beginnings: Counter[str] = Counter()
        """How often the model has worked on a task from zero."""
        self.successes: set[str] = set()
        self.wrongs: list[str] = []
        self._ticks = 100

    @property
    def boot(self) -> str:
        return f"boot-{self.boots}"

    @property
    def alive(self) -> list[Claude]:
        return [one for one in self.processes if one.alive]

    def find(self, process: ProcessId) -> Claude | None:
        return next((one for one in self.alive if one.identity == process), None)

    def marked(self) -> set[str]:
        """The runs of which anything is alive."""
        return {one.run for one in self.alive} | self.left_behind

    def spawn(self, run: str, launch: Launch) -> Claude:
        if self.refuses:
            raise BlockingIOError("Resource temporarily unavailable")
        self._ticks += 1
        given = dict(
            one.removeprefix("--").split("=", 1) for one in launch.arguments if one.startswith("--") and "=" in one
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        claude = Claude(
            identity=ProcessId(pid=1000 + self._ticks, started=self._ticks, boot=self.boot),
            run=run,
            task=launch.environment["DROPBOX_RUNNER_TASK_ID"],
            session=given.get("resume") or given["session-id"],
            resumes="resume" in given,
            prompt=launch.stdin.read_text(),
            out=os.open(launch.stdout, flags, 0o600),
            err=os.open(launch.stderr, flags, 0o600),
            question_file=Path(launch.environment["DROPBOX_RUNNER_QUESTION_FILE"]),
        )
        for other in self.alive:
            if other.task == claude.task or other.session == claude.session:
                self.wrongs.append(f"two agents at once work on task {claude.task}")
        self.processes.append(claude)
        return claude

    def end(self, claude: Claude, exit_code: int) -> None:
        claude.alive, claude.exit_code = False, exit_code
        os.close(claude.out)
        os.close(claude.err)

    def signal(self, claude: Claude, number: signal.Signals) -> None:
        if number is signal.SIGKILL:
            self.end(claude, -9)
        elif not claude.deaf:
            self.end(claude, 143)

    def reboot(self) -> None:
        for one in self.alive:
            self.end(one, -9)
        self.left_behind.clear()
        self.boots += 1
        # The same pids may be given again, to somebody else.
        self.strangers = [one.identity.but(boot=self.boot, started=7) for one in self.processes[-3:]]

    # ---------------------------------------------------------------- what an agent does

    def begin(self, claude: Claude) -> None:
        """Read the prompt and say which session it is, unless there is none or it is taken."""
        known = claude.session in self.sessions
        if claude.resumes and not known:
            message = f"No conversation found with session ID: {claude.session}"
            os.write(claude.err, message.encode())
            nothing = {"subtype": "error_during_execution", "is_error": True, "num_turns": 0, "total_cost_usd": 0}
            self._line(claude, "result", nothing | {"errors": [message]})
            self.end(claude, 1)
        elif known and not claude.resumes:
            os.write(claude.err, f"Error: Session ID {claude.session} is already in use.".encode())
            self.end(claude, 1)
        else:
            claude.began = True
            self._line(claude, "system", {"subtype": "init"})

    def save(self, claude: Claude) -> None:
        """Write the prompt into the session: from now on the session exists, and knows it."""
        self.sessions.setdefault(claude.session, Session()).heard.append(claude.prompt)

    def work(self, claude: Claude) -> None:
        """Let the model say something."""
        self.save(claude)
        claude.worked = True
        if not claude.resumes:
            self.beginnings[claude.task] += 1
        content = [{"type": "text", "text": "I am at it."}]
        self._line(claude, "assistant", {"message": {"role": "assistant", "content": content}})

    def say_half_a_line(self, claude: Claude) -> None:
        os.write(claude.out, b'{"type":"result","is_error":false,"num')

    def ask(self, claude: Claude, text: str) -> None:
        with suppress(FileNotFoundError):  # its task was moved or deleted meanwhile
            claude.question_file.write_text(text)

    def succeed(self, claude: Claude, **more: object) -> None:
        """Write the result of a turn that went well."""
        claude.over = True
        session = self.sessions[claude.session]
        session.cost = round(session.cost + 0.5, 2)
        said = {"subtype": "success", "is_error": False, "num_turns": 1, "result": "All done."}
        self._line(claude, "result", said | {"total_cost_usd": session.cost, "terminal_reason": "completed"} | more)

    def fail(self, claude: Claude, error: dict[str, object], **result: object) -> None:
        """Write what claude writes when the API has refused: the prompt is in the session all the same."""
        if not claude.worked:
            self.save(claude)
        claude.over = True
        text = [{"type": "text", "text": "API Error"}]
        message = {"message": {"content": text}, "is_api_error_message": True} | error
        self._line(claude, "assistant", message)
        said = {"subtype": "success", "is_error": True, "num_turns": 1, "result": "API Error", "total_cost_usd": 0.0}
        self._line(claude, "result", said | result)

    def _line(self, claude: Claude, kind: str, fields: dict[str, object]) -> None:
        line = {"type": kind, "session_id": claude.session} | fields
        os.write(claude.out, json.dumps(line, separators=(",", ":")).encode() + b"\n")


class PretendedAgents(Agents):
    """What a daemon's door to processes shows of the machine: its memory is that of one daemon."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine
        self._mine: dict[str, Claude | None] = {}
        """Run → the process, if it is our own child."""

    def start(self, run_id: str, launch: Launch) -> ProcessId:
        self._machine.disk.effect("process")
        claude = self._machine.spawn(run_id, launch)
        self._machine.disk.effect("process")
        self._mine[run_id] = claude
        return claude.identity

    def adopt(self, run_id: str, process: ProcessId) -> bool:
        if run_id not in self._machine.marked():
            return False
        self._mine[run_id] = None
        return True

    def is_alive(self, process: ProcessId) -> bool:
        return self._machine.find(process) is not None

    def leader(self, run_id: str, _log: Path) -> ProcessId | None:
        return next((one.identity for one in self._machine.alive if one.run == run_id), None)

    def strays(self, mark: str, value: str) -> frozenset[str]:
        return frozenset(self._machine.marked())

    def innermost(self, process: ProcessId, argument: str) -> ProcessId:
        return process

    def sweep_task(self, folder: Path) -> tuple[str, ...]:
        runs = {one.run for one in self._machine.alive if one.question_file.parent == folder}
        return tuple(what for run in sorted(runs) for what in self.sweep(run))

    def send(self, process: ProcessId, number: signal.Signals) -> bool:
        self._machine.disk.effect("process")
        claude = self._machine.find(process)
        if claude is not None:
            self._machine.signal(claude, number)
        return claude is not None

    def sweep(self, run_id: str) -> tuple[str, ...]:
        self._machine.disk.effect("process")
        swept = [one for one in self._machine.alive if one.run == run_id]
        for one in swept:
            self._machine.signal(one, signal.SIGKILL)
        left = [f"{run_id} sleep"] if run_id in self._machine.left_behind else []
        self._machine.left_behind.discard(run_id)
        return tuple(f"{one.identity.pid} claude" for one in swept) + tuple(left)

    def watched(self) -> frozenset[str]:
        return frozenset(self._mine)

    def watches(self, run_id: str) -> bool:
        return run_id in self._mine

    def descriptors(self) -> list[int]:
        return []

    def exit_code(self, run_id: str) -> int | None:
        claude = self._mine.get(run_id)
        return None if claude is None else claude.exit_code

    def forget(self, run_id: str) -> None:
        self._mine.pop(run_id, None)
