"""Where the claude command is."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path


def find_claude(wanted: str) -> str | None:
    """Return the absolute path of the claude command, or None when there is none that can be run.

    A path is taken as it is. A name is looked up on PATH, then where claude's own installers put it (a systemd user
    service has none of these on its PATH), then in the wheel of claude-agent-sdk, which carries it.
    """
    if os.sep in wanted:
        path = os.path.abspath(os.path.expanduser(wanted))  # noqa: PTH100, PTH111 - `..` must go, links must stay
        return shutil.which(path)
    candidates = (wanted, *map(str, _usual_places(wanted)))
    return next((found for one in candidates if (found := shutil.which(one)) is not None), None)


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
