"""Where the claude command is."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dropbox_runner.core.settings import Settings

_MOST_LINKS: Final = 40
"""As many as the kernel follows."""
_FIRST_LINE: Final = 256


def find_claude(wanted: str) -> str | None:
    """Return the absolute path of the claude command, or None when there is none that can be run.

    A path is taken as it is. A name is looked up on PATH, then where claude's own installers put it (a systemd user
    service has none of these on its PATH), then in the wheel of claude-agent-sdk, which carries it.
    """
    if os.sep in wanted:
        return find_program(wanted)
    candidates = (wanted, *map(str, _usual_places(wanted)))
    return next((found for one in candidates if (found := shutil.which(one)) is not None), None)


def find_program(wanted: str) -> str | None:
    """Return the absolute path of a program, named by a path or to be looked up on PATH; None if it cannot be run."""
    if os.sep in wanted:
        wanted = os.path.abspath(os.path.expanduser(wanted))  # noqa: PTH100, PTH111 - `..` must go, links must stay
    return shutil.which(wanted)


def claude_to_start(settings: Settings) -> str | None:
    """Return the claude command for a run, or None when there is none.

    A launcher may start it where we cannot look, in a container or on another host: there its own words hold.
    """
    return find_claude(settings.claude) or (settings.claude if settings.launcher else None)


def programs(path: Path, search: str) -> Iterator[Path]:
    """Yield every file that has to be there for a program to run: links, their target, and what interprets it.

    Their folders have no links in them; a link itself stays one, for some programs look at the name they have.
    """
    for _ in range(_MOST_LINKS):
        path = Path(os.path.realpath(path.parent)) / path.name
        yield path
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    interpreter = _interpreter(path, search)
    if interpreter is not None:
        yield from programs(interpreter, search)


def _interpreter(script: Path, search: str) -> Path | None:
    try:
        with script.open("rb") as file:
            words = os.fsdecode(file.readline(_FIRST_LINE)).split()
    except OSError:
        return None
    if not words or not words[0].startswith("#!"):
        return None
    named = Path(words[0].removeprefix("#!") or words[1])
    # `#!/usr/bin/env -S node --flag`: what counts is the first word that is no option.
    wanted = next((word for word in words[1:] if not word.startswith("-")), None) if named.name == "env" else None
    found = shutil.which(wanted, path=search) if wanted is not None else str(named)
    return Path(found) if found is not None else None


def claude_version(path: str) -> str | None:
    """Ask the command for its version; None when it does not say one within some seconds."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None if said.returncode == 0 else None


def _usual_places(name: str) -> Iterator[Path]:
    home = Path.home()
    yield home / ".local" / "bin" / name
    yield home / ".claude" / "local" / name
    sdk = importlib.util.find_spec("claude_agent_sdk")
    if sdk is not None and sdk.origin is not None:
        yield Path(sdk.origin).parent / "_bundled" / name
