"""An inbox with the real daemon and the real claude, as processes, in a home of their own; and the API they talk to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

MARK = "DROPBOX_RUNNER_RUN_ID"
PATIENCE = 60.0
"""Seconds until a wait has failed. Nothing waits that long unless it is broken: everything else polls."""

Json = dict[str, Any]
_T = TypeVar("_T")


# ---------------------------------------------------------------------------------------------- what the model does


def says(text: str) -> Json:
    """A last message: the model's turn ends."""
    return {"text": text}


def runs(command: str) -> Json:
    """The model uses its Bash tool."""
    return {"tool_use": {"name": "Bash", "input": {"command": command, "description": "a step of the scenario"}}}


def asks(text: str, *options: str) -> Json:
    """The model asks as its instructions tell it to."""
    given = "".join(f" --option {option}" for option in options)
    return runs(f'dropbox-runner ask "{text}"{given}')


def upon(prompt: str, *turns: Json) -> Json:
    """A rule: what the model does from a prompt with this text on. Repeated requests do not get it out of step."""
    return {"match": prompt, "index": "assistant", "turns": list(turns)}


def waits_for(file: Path) -> Json:
    """The model's Bash tool runs until the test makes this file: no race, and no fixed time."""
    return runs(f"until [ -e '{file}' ]; do sleep 0.05; done; echo the gate is open")


# ---------------------------------------------------------------------------------------------- the API


class Api:
    """The stand-in of the Messages API, as a process of its own."""

    def __init__(self, log: Path) -> None:
        program = Path(__file__).with_name("mock_anthropic.py")
        command = [sys.executable, str(program), "--scenario", '{"rules": []}', "--log", str(log), "--full-log"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{json.loads(self._process.stdout.readline())['port']}"

    def plays(self, *rules: Json, **more: object) -> None:
        """Set what the model does; an unexpected prompt gets an answer that no test waits for."""
        scenario = {"default": says("(the scenario has no rule for this prompt)"), "rules": list(rules), **more}
        self._call("/__mock__/scenario", json.dumps(scenario).encode())

    @property
    def requests(self) -> list[Json]:
        """What the model has been asked so far, helper calls (titles and so on) left out."""
        found = json.loads(self._call("/__mock__/requests"))
        return [one for one in found if one["kind"] == "messages" and one["tools"]]

    @property
    def prompts(self) -> list[str]:
        """The newest prompt of each conversation turn that a person or the runner began, in order."""
        last = [one["prompts"][-1] for one in self.requests]
        return [prompt for at, prompt in enumerate(last) if at == 0 or prompt != last[at - 1]]

    @property
    def sessions(self) -> set[str]:
        return {one["session"] for one in self.requests}

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _call(self, path: str, data: bytes | None = None) -> bytes:
        with urllib.request.urlopen(self.url + path, data, timeout=10) as answer:
            content: bytes = answer.read()
        return content


# ---------------------------------------------------------------------------------------------- the inbox


class Inbox:
    """A watched folder, the person who uses it, and the daemon that runs it."""

    def __init__(self, base: Path, claude: str, api: Api) -> None:
        self.root = base / "inbox"
        self.home = base / "home"
        self.elsewhere = base / "elsewhere"
        self.log_file = base / "daemon.log"
        self.api = api
        self._claude = claude
        self._daemon: subprocess.Popen[bytes] | None = None
        for folder in (self.home, self.elsewhere):
            folder.mkdir(parents=True)
        self.environment = {
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(base / "state"),
            "XDG_CONFIG_HOME": str(base / "config"),
            # A plain one: no `dropbox-runner` and no virtual environment on it.
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": "dummy",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",  # the tests may run as root
        }
        self._runner("init", str(self.root))

    def settings(self, **values: object) -> None:
        """Write the settings file; the next start reads it."""
        file = Path(self.environment["XDG_CONFIG_HOME"]) / "dropbox-runner" / "config.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        known = {"folder": str(self.root)} | values
        # JSON is YAML as well.
        file.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in known.items()))

    # -- the daemon

    def start(self, *options: str, settle: str = "0.3") -> None:
        """Start the daemon."""
        assert self._daemon is None, "one at a time"
        options = ("--allow-root", "--settle", settle, "--claude", self._claude, *options)
        before = self.log.count("watching ")
        with self.log_file.open("ab") as log:
            command = [sys.executable, "-m", "dropbox_runner", "run", str(self.root), *options]
            self._daemon = subprocess.Popen(
                command, env=self.environment, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.wait("the daemon to say that it watches", lambda: self.log.count("watching ") > before)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the daemon with a signal; return its exit code."""
        daemon, self._daemon = self._daemon, None
        assert daemon is not None, "no daemon runs"
        daemon.send_signal(number)
        return daemon.wait(PATIENCE)

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def close(self) -> None:
        """End everything that was started here, however the test ended."""
        if self._daemon is not None:
            self.stop()
        for process in self.marked():
            with suppress(psutil.Error):
                process.kill()

    def _runner(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "dropbox_runner", *arguments]
        done = subprocess.run(command, env=self.environment, cwd=self.home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # -- the person

    def drop(self, file: str, text: str) -> None:
        """Move a finished file in from elsewhere, as a file manager does."""
        self.move_in(self.root / file, text)

    def move_in(self, target: Path, text: str) -> None:
        source = self.elsewhere / target.name
        source.write_text(text)
        source.rename(target)

    # -- looking

    def wait(self, what: str, found: Callable[[], _T]) -> _T:
        """Poll until there is something; say what was waited for, and all that is known, when there never is."""
        end = time.monotonic() + PATIENCE
        while True:
            value = found()
            if value:
                return value
            if time.monotonic() > end:
                self._give_up(f"waited {PATIENCE:g} s in vain for {what}")
            time.sleep(0.02)

    def arrives(self, task: str, state: str) -> Path:
        """Wait until a task lies in this state; give up at once when it has ended in another one."""
        folder = self.root / state / task

        def there() -> bool:
            ended = [end for end in ("done", "failed") if end != state and (self.root / end / task).is_dir()]
            if ended and not folder.is_dir():
                self._give_up(f"{task} should have come to {state}/, but it has ended in {ended[0]}/")
            return folder.is_dir()

        self.wait(f"{task} to come to {state}/", there)
        return folder

    def asked(self, task: str, number: int = 1) -> Path:
        """Wait until a task is blocked with its question of this number; return its folder."""
        folder = self.arrives(task, "blocked")
        self.wait(f"question {number} of {task}", lambda: read_json(folder / "question.json").get("number") == number)
        self.wait(f"question.md of {task}", (folder / "question.md").is_file)
        return folder

    def done(self, task: str) -> Json:
        """Wait until a task has ended well; return its result.json."""
        return read_json(self.arrives(task, "done") / "result.json")

    def failed(self, task: str) -> Json:
        """Wait until a task has failed; return its result.json."""
        return read_json(self.arrives(task, "failed") / "result.json")

    def claude_at_work(self, gate: Path) -> psutil.Process:
        """Wait until claude's Bash tool waits at a gate, and return the process of claude itself."""
        self.wait(f"claude to run its Bash tool, waiting for {gate.name}", lambda: self._at(gate))
        # It saves a session a moment after it has acted; killed in between, the session knows nothing of that.
        self.wait("claude to save what it has begun", self._has_saved)
        return self.claude()

    def _has_saved(self) -> bool:
        sessions = (self.home / ".claude" / "projects").rglob("*.jsonl")
        return any('"type":"tool_use"' in session.read_text() for session in sessions)

    def claude(self) -> psutil.Process:
        """Return the one process of claude: what it has started is younger than itself."""
        return min(self.marked(), key=lambda process: process.create_time())

    def marked(self) -> list[psutil.Process]:
        """Return everything alive that was started by a run of this inbox, found by its environment."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):
            environment = process.environ()
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and MARK in environment and environment.get("DROPBOX_RUNNER_INBOX") == str(self.root)
        return False

    def _at(self, gate: Path) -> bool:
        for process in self.marked():
            with suppress(psutil.Error):
                if f"until [ -e '{gate}' ]" in " ".join(process.cmdline()).replace("'\"'\"'", "'"):
                    return True
        return False

    def _give_up(self, why: str) -> None:
        files = "\n".join(f"  {path.relative_to(self.root)}" for path in self._tree())
        errors = "".join(f"\n{path.relative_to(self.root)}:\n{path.read_text()}" for path in self._tree("error.md"))
        exchange = "\n".join(
            f"  {one['prompts'][-1].splitlines()[0] if one['prompts'] else '?'} ← "
            f"{[result['text'][:300] for result in one['tool_results']]} → {one['rule']}, turn {one['turn']}"
            for one in self.api.requests
        )
        known = (
            f"The daemon's log:\n{self.log}\nWhat the model was asked:\n{exchange}\n\nThe folder:\n{files}\n{errors}"
        )
        pytest.fail(f"{why}\n\n{known}", pytrace=False)

    def _tree(self, pattern: str = "*") -> Iterator[Path]:
        for state in ("pending", "running", "blocked", "done", "failed"):
            yield from sorted((self.root / state).glob(f"*/{pattern}"))


def read_json(path: Path) -> Json:
    try:
        content: Json = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content


def lines(stream: Path) -> list[Json]:
    """The complete lines of a run's stream."""
    whole = stream.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.split(b"\n") if line]


def write_in_place(path: Path, text: str) -> None:
    """Write a file where it is to lie, bit by bit, as an editor without any safe writing does."""
    with path.open("w") as file:
        for piece in text.splitlines(keepends=True):
            file.write(piece)
            file.flush()
