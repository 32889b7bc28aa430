"""The files of tests/corpus and what is expected of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
REPEAT = ".repeat.json"


@dataclass(frozen=True)
class Case:
    """One file, and what must become of it."""

    file: str
    data: bytes
    verdict: str
    lines: tuple[str, ...]
    """What else its .expect says."""

    @property
    def name(self) -> str:
        return self.file.partition(".")[0]

    @property
    def problems(self) -> list[tuple[str, str, str]]:
        """Place, beginning of the message, and a part of the advice, of each problem."""
        found: list[tuple[str, str, str]] = []
        for line in self.lines:
            if line.startswith("→ "):
                place, message, _ = found[-1]
                found[-1] = (place, message, line[2:])
            else:
                place, _, message = line.partition(" ")
                found.append((place, message, ""))
        return found


def cases() -> list[Case]:
    """All of them, by name."""
    return [_case(path) for path in sorted(CORPUS.iterdir()) if path.suffix != ".expect" and path.name != "README.md"]


def _case(path: Path) -> Case:
    name, data = path.name, path.read_bytes()
    if name.endswith(REPEAT):
        made = json.loads(data)
        name = f"{name.removesuffix(REPEAT)}.yaml"
        data = (made["before"] + made["unit"] * made["times"] + made["after"]).encode()
    expected = path.with_name(f"{name.partition('.')[0]}.expect").read_text().splitlines()
    return Case(name, data, expected[0], tuple(expected[1:]))
