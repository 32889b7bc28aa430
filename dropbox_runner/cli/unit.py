"""The unit of the service: systemd/dropbox-runner.service is both the one to copy by hand and our template."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from dropbox_runner.folder.layout import config_file

NAME: Final = "dropbox-runner.service"
_PLAIN: Final = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_ESCAPED: Final = {"%": "%%", "\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def unit_file() -> Path:
    """Return where the user's own unit lies."""
    return config_file().parents[1] / "systemd" / "user" / NAME


def template() -> str:
    """Return the unit as it is shipped: in an installed package inside of it, in the source tree at the top."""
    here = Path(__file__).resolve().parents[1]
    packed = here / NAME
    return (packed if packed.is_file() else here.parent / "systemd" / NAME).read_text(encoding="utf-8")


def is_ours(text: str) -> bool:
    """Say whether a unit was made from the template."""
    return text.partition("\n")[0] == template().partition("\n")[0]


def render(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the unit for this command, with these variables."""
    # The colon in front: no `$` in it is expanded.
    start = "ExecStart=" + " ".join([f":{quoted(command[0])}", *map(quoted, command[1:])])
    variables = [f"Environment={quoted(f'{name}={value}')}" for name, value in environment.items()]
    return _replaced(_replaced(template(), "ExecStart=", [start]), "Environment=", variables)


def _replaced(text: str, beginning: str, lines: Iterable[str]) -> str:
    before, after = re.split(rf"^{beginning}.*\n", text, maxsplit=1, flags=re.MULTILINE)
    return before + "".join(f"{line}\n" for line in lines) + after


def quoted(text: str) -> str:
    """Write a word as systemd.syntax(7) wants it, so that it reads exactly this again."""
    escaped = "".join(_ESCAPED.get(one) or (one if one.isprintable() else _bytes(one)) for one in text)
    return escaped if _PLAIN.fullmatch(escaped) else f'"{escaped}"'


def _bytes(text: str) -> str:
    # A name that is no UTF-8, or a control character: byte by byte.
    return "".join(f"\\x{byte:02x}" for byte in text.encode("utf-8", "surrogateescape"))
