"""A terminal that a test types into and reads from: tmux, on a socket of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import wait_until


class Terminal:
    """One program in one real terminal."""

    def __init__(self, socket: Path, command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]) -> None:
        self._tmux = ["tmux", "-f", "/dev/null", "-S", str(socket)]
        self._environment = {name: value for name, value in environment.items() if name != "COLUMNS"}
        self._environment["TERM"] = "xterm-256color"
        self._run("new-session", "-d", "-x", "120", "-y", "30", "-c", str(cwd), *map(str, command))
        # Without it Escape and the key after it are one key to the program.
        self._run("set-option", "-s", "escape-time", "0")

    def type(self, text: str) -> None:
        """Type a text, line by line."""
        lines = text.split("\n")
        for line in lines[:-1]:
            self._run("send-keys", "-l", "--", line) if line else None
            self.press("Enter")
        if lines[-1]:
            self._run("send-keys", "-l", "--", lines[-1])

    def press(self, *keys: str) -> None:
        """Press keys by tmux' names for them: Escape, Enter, C-x."""
        self._run("send-keys", *keys)

    @property
    def screen(self) -> str:
        """What is to be seen; nothing when the program has ended."""
        return self._run("capture-pane", "-p", must=False).stdout

    @property
    def ended(self) -> bool:
        """Whether the program has ended."""
        return self._run("has-session", must=False).returncode != 0

    @property
    def pid(self) -> int:
        """The program's process."""
        return int(self._run("display-message", "-p", "#{pane_pid}").stdout)

    def wait_for(self, *texts: str) -> None:
        """Wait until one of these is to be seen."""
        wait_until(
            lambda: any(text in self.screen for text in texts),
            lambda: f"{texts} was never to be seen, but:\n{self.screen}",
        )

    def wait_until_ended(self) -> None:
        wait_until(lambda: self.ended, lambda: f"it is still there:\n{self.screen}")

    def close(self) -> None:
        """As closing the window does."""
        self._run("kill-server", must=False)

    def _run(self, *arguments: str, must: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self._tmux, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
        assert done.returncode == 0 or not must, f"tmux {arguments}: {done.stderr}"
        return done
