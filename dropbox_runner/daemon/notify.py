"""What systemd is told of the daemon: the protocol of sd_notify(3), datagrams to the socket in $NOTIFY_SOCKET.

Without that variable nothing is sent. Nothing here can harm the daemon: a manager that is gone, or that does not
listen, is one that is not told.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

_PATIENCE: Final = 1.0
"""Seconds that a manager with a full queue (it is just being upgraded) may keep us waiting."""
_LONGEST: Final = 500
"""Characters of a status; it is one line of `systemctl status`."""
_STOP_MARGIN: Final = 30.0
"""Seconds that stopping may take beyond what the agents get: writing down, sweeping up, a slow disk."""


class Manager:
    """The service manager that has started us, if one has."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        # Taken out of it: what we start must not speak for us, or take itself for the one that is watched.
        path = environment.pop("NOTIFY_SOCKET", "")
        pid, interval = environment.pop("WATCHDOG_PID", ""), environment.pop("WATCHDOG_USEC", "")
        # A leading @ stands for the zero byte of a socket that has no file; other kinds (vsock:) are for machines.
        self._address = f"\0{path[1:]}" if path.startswith("@") else path if path.startswith("/") else ""
        self._ready = False
        self._status = ""
        self.watchdog: float | None = None
        """Seconds within which we must have been heard of, if somebody listens for that."""
        if self._address and interval.isdigit() and int(interval) and pid in ("", str(os.getpid())):
            self.watchdog = int(interval) / 1e6

    def looked(self, status: str) -> None:
        """Say that a look has come to its end, and what it has found; the first time: that we are ready."""
        status = " ".join(status.split())[:_LONGEST]
        news = [] if self._ready else ["READY=1"]
        news += [f"STATUS={status}"] if status != self._status else []
        if self._send(*news, *self._sign_of_life()):
            self._ready, self._status = True, status

    def acted(self) -> None:
        """Say that one action has been performed.

        Each of them is short, but fifty in a row may take minutes, and a daemon that gets on with them does not hang.
        """
        self._send(*self._sign_of_life())

    def reloading(self) -> None:
        """Say that the settings are being read again; done when the next look has come to its end."""
        if self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"):
            self._ready = False

    def stopping(self, grace: float) -> None:
        """Say that we are about to end, and that this may take as long as the agents get; to be repeated."""
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round((grace + _STOP_MARGIN) * 1e6)}")

    def _sign_of_life(self) -> tuple[str, ...]:
        return ("WATCHDOG=1",) if self.watchdog is not None else ()

    def _send(self, *lines: str) -> bool:
        if not self._address or not lines:
            return False
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
            way.settimeout(_PATIENCE)
            way.sendto("\n".join(lines).encode("utf-8", "replace"), os.fsencode(self._address))
            return True
        return False
