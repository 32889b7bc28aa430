"""Where the gate is kept: outside the folder, because it is this machine's account that is closed."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from dropbox_runner.core.errors import RunnerError
from dropbox_runner.core.gate import Gate
from dropbox_runner.folder import durable


class GateFile:
    """gate.json of one watched folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def read(self) -> Gate | None:
        """Return the gate; None when it is open, or what is there makes no sense: then a try will tell."""
        try:
            return Gate.model_validate_json(durable.read(self.path))
        except (OSError, RunnerError, ValidationError):
            return None

    def write(self, gate: Gate | None) -> None:
        """Close the gate, or open it."""
        if gate is None:
            durable.remove(self.path)
        else:
            # Not by pydantic: what the API said may hold half of a surrogate pair, which that refuses to write.
            text = json.dumps(gate.model_dump(), indent=2, ensure_ascii=False) + "\n"
            durable.write(self.path, text.encode("utf-8", "replace"))
