"""The sandbox: bubblewrap, around the whole of claude and everything that it starts.

It is chosen by settings and never left out silently: where it does not work, nothing is started.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dropbox_runner.core.wrapping import announced

_PATIENCE: Final = 20.0
_CLAUDE_JSON: Final = Path("/run/dropbox-runner/claude.json")
"""Where the sandbox shows the user's ~/.claude.json."""
_CHECK: Final = '[ ! -e "$1" ] && ! touch "$2" 2>/dev/null'


@dataclass(frozen=True)
class View:
    """What of the machine is seen inside; all paths absolute and without links. Of two that lie in one another the
    inner one holds.
    """

    hidden: tuple[Path, ...]
    """Folders that are empty inside, and forget what is written there; where nothing else is shown in them."""
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    claude_json: Path | None = None
    """The user's ~/.claude.json, of which a run gets a copy of its own.

    claude replaces this file by a rename, which a mounted file does not allow; and the real one must stay as it is: it
    can name programs (MCP servers) that the user's own claude would then start outside of any sandbox.
    """

    def shows(self, path: Path) -> bool:
        """Say whether a path is there anyway: not in what is hidden."""
        return not any(path.is_relative_to(one) for one in self.hidden)

    def opened_by(self, path: Path) -> bool:
        """Say whether showing a path would show all of something that is hidden."""
        return any(one.is_relative_to(path) for one in self.hidden)


def confined(view: View, arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs a program in the sandbox."""
    before = ":"
    shown: list[str] = []
    if view.claude_json is not None:
        shown = ["--ro-bind-try", str(view.claude_json), str(_CLAUDE_JSON)]
        before = f"[ ! -e {_CLAUDE_JSON} ] || cp {_CLAUDE_JSON} ~/.claude.json"
    return ["bwrap", *_options(view), *shown, "--", *announced(arguments, before)]


def _options(view: View) -> list[str]:
    # Its own process ids: what a run leaves behind cannot get away from the sandbox, and dies with its first process.
    # Not --die-with-parent: that would be the daemon, and agents outlive it. No capabilities, also for root, who could
    # otherwise undo all of it.
    options = ["--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL"]
    options += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    rows = [
        *((path, 0, ["--tmpfs", str(path)]) for path in view.hidden),
        *((path, 1, ["--ro-bind", str(path), str(path)]) for path in view.read),
        *((path, 2, ["--bind", str(path), str(path)]) for path in view.write),
    ]
    # Outer ones first: each is laid over what is there already.
    for _, _, option in sorted(rows, key=lambda row: (len(row[0].parts), row[1], row[0])):
        options += option
    return options


def needed(view: View, programs: Iterable[Path]) -> tuple[Path, ...]:
    """Return what must be shown for these programs to run in a view that hides their folders.

    A program's folder comes with it, for what lies beside it; but no folder that holds one of the hidden ones.
    """
    wanted = [
        next((one for one in (_place(program), program) if not view.opened_by(one)), None) for program in programs
    ]
    return tuple(dict.fromkeys(path for path in wanted if path and path.exists() and not view.shows(path)))


def _place(program: Path) -> Path:
    # What npm has installed needs its neighbours.
    modules = [parent for parent in program.parents if parent.name == "node_modules"]
    return modules[-1] if modules else (program if program.is_dir() else program.parent)


def trouble(view: View, unseen: Path, unwritable: Path) -> str | None:
    """Say why the sandbox cannot be used, and what to do about it; None when it works.

    It is really entered: nothing else tells whether this kernel, and whatever guards it, lets us. `unseen` is there and
    must not be seen inside; nothing may be made in `unwritable`.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "there is no command bwrap: install the package `bubblewrap`"
    check = ["/bin/sh", "-c", _CHECK, "sh", str(unseen), str(unwritable / ".probe")]
    try:
        tried = subprocess.run(
            [bwrap, *_options(view), "--", *check], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"it could not be tried: {error}"
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip() or "what it must keep away can be reached in it"
    return f"{said} (it needs unprivileged user namespaces, which kernel, container or AppArmor may forbid)"
