"""Makes the stand-in a program that can be given as `--claude PATH`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

_CODE = "import sys; sys.path.insert(0, {folder!r}); from dropbox_runner.standin.agent import main; sys.exit(main())"


def write_wrapper(path: Path, scenario: Path, state: Path) -> Path:
    """Write an executable script that is the stand-in with this scenario, keeping its sessions in `state`.

    It runs with the Python that wrote it and with this very package, whatever PATH and PYTHONPATH its caller has. It
    needs no other, so it leaves out site-packages, whose .pth files would take longer to run than our own start.
    """
    command = [
        sys.executable,
        "-IS",
        "-c",
        _CODE.format(folder=str(Path(__file__).resolve().parents[2])),
        f"--stand-in-scenario={scenario.absolute()}",
        f"--stand-in-state={state.absolute()}",
    ]
    script = f'#!/bin/sh\n# Not Claude: a stand-in that plays a scenario.\nexec {shlex.join(command)} "$@"\n'
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(script, encoding="utf-8")
    temporary.chmod(0o700)
    return temporary.replace(path)
