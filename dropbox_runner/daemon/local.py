"""What this machine keeps of one watched folder, outside of it: no sync tool carries it to another one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dropbox_runner.agent.environment import Commands
from dropbox_runner.daemon.notice import Notice
from dropbox_runner.folder.gatefile import GateFile
from dropbox_runner.folder.layout import GATE
from dropbox_runner.folder.ledger import Ledger


@dataclass(frozen=True)
class Local:
    """The files in this machine's corner for one watched folder."""

    ledger: Ledger
    """What was taken, and what it cost."""
    gate: GateFile
    """Why nothing is started just now, if the account is the reason."""
    commands: Commands
    """What agents find on their PATH."""
    notice: Notice
    """What the daemon lets others know of itself."""

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return what lies in this corner; nothing is opened or made."""
        return cls(
            Ledger(folder / "ledger.sqlite"),
            GateFile(folder / GATE),
            Commands.under(folder),
            Notice(folder / "notice.json"),
        )
