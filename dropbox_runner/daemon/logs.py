"""The daemon's own output: a log that a person likes to read, or journald's with priorities under systemd."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

from dropbox_runner.core.names import printable
from dropbox_runner.core.secrets import masked

_JOURNAL_PRIORITY: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


class _OneLine(logging.Formatter):
    """Escapes what could steer a terminal or fake a line, hides keys: names, questions, errors come from anybody."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)


class _ForPeople(_OneLine):
    """`12:03:04 fix-login: pending → running (run 1)`; the level only where it is more than information."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return super().formatMessage(record)


class _ForJournal(_OneLine):
    """`<6>…`: journald takes the priority from the prefix (systemd.exec(5)) and adds the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_JOURNAL_PRIORITY.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def set_up(*, verbose: bool) -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    if _is_journal():
        handler.setFormatter(_ForJournal("%(message)s"))
    else:
        handler.setFormatter(_ForPeople("%(asctime)s %(mark)s%(message)s", "%H:%M:%S"))
    logger = logging.getLogger("dropbox_runner")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False


def _is_journal() -> bool:
    # The variable is inherited by everything below a service; only if it names our stderr is that the journal.
    stream = os.environ.get("JOURNAL_STREAM", "")
    seen = os.fstat(sys.stderr.fileno())
    return stream == f"{seen.st_dev}:{seen.st_ino}"
