"""Two devices that share a folder by Syncthing: on loopback only, unknown to everybody else."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from harness import wait_until

_FOLDER: Final = "inbox"
_CONFIG: Final = """\
<configuration version="36">
  <folder id="{folder_id}" path="{folder}" type="sendreceive" rescanIntervalS="3" fsWatcherEnabled="true"
          fsWatcherDelayS="1">
    {devices}
    <maxConflicts>10</maxConflicts>
  </folder>
  {addresses}
  <gui enabled="true" tls="false"><address>127.0.0.1:{gui}</address><apikey>{key}</apikey></gui>
  <options>
    <listenAddress>tcp://127.0.0.1:{port}</listenAddress>
    <globalAnnounceEnabled>false</globalAnnounceEnabled>
    <localAnnounceEnabled>false</localAnnounceEnabled>
    <relaysEnabled>false</relaysEnabled>
    <natEnabled>false</natEnabled>
    <stunServer></stunServer>
    <urAccepted>-1</urAccepted>
    <crashReportingEnabled>false</crashReportingEnabled>
    <autoUpgradeIntervalH>0</autoUpgradeIntervalH>
    <startBrowser>false</startBrowser>
    <reconnectionIntervalS>1</reconnectionIntervalS>
    <limitBandwidthInLan>true</limitBandwidthInLan>
  </options>
</configuration>
"""


class Device:
    """One device with one Syncthing."""

    def __init__(self, home: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._home = home
        self._environment = dict(environment) | {"STNOUPGRADE": "1"}
        self._key = home.name
        self.port, self._gui = _free_port(), _free_port()
        self._syncthing("generate", f"--home={home}", "--no-default-folder")
        self.id = self._syncthing(f"--home={home}", "--device-id").strip()
        assert re.fullmatch(r"[A-Z2-7-]{63}", self.id), self.id

    def start(self, other: Device) -> None:
        """Start it, knowing one other device."""
        values = {"folder_id": _FOLDER, "folder": self.folder, "gui": self._gui, "port": self.port, "key": self._key}
        both = (self, other)
        devices = "".join(f'<device id="{one.id}"/>' for one in both)
        addresses = "".join(
            f'<device id="{one.id}" name="x"><address>tcp://127.0.0.1:{one.port}</address></device>' for one in both
        )
        (self._home / "config.xml").write_text(_CONFIG.format(devices=devices, addresses=addresses, **values))
        (self.folder / ".stfolder").mkdir(exist_ok=True)
        log = (self._home / "log").open("wb")
        self._process = subprocess.Popen(
            ["syncthing", "serve", f"--home={self._home}", "--no-browser", "--no-restart"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()

    def api(self, method: str, path: str, body: object = None, **parameters: str) -> Any:
        """Ask its REST API something."""
        connection = HTTPConnection("127.0.0.1", self._gui, timeout=10)
        try:
            connection.request(
                method, f"/rest/{path}?{urlencode(parameters)}", json.dumps(body), {"X-API-Key": self._key}
            )
            response = connection.getresponse()
            data = response.read()
            assert response.status == 200, f"{path}: {response.status} {data!r}"
            return json.loads(data) if data.strip() else None
        finally:
            connection.close()

    def is_connected_to(self, other: Device) -> bool:
        with contextlib.suppress(OSError, AssertionError):
            return bool(self.api("GET", "system/connections")["connections"][other.id]["connected"])
        return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)

    def log(self) -> str:
        return (self._home / "log").read_text(errors="replace")

    def _syncthing(self, *arguments: str) -> str:
        return subprocess.run(
            ["syncthing", *arguments], env=self._environment, capture_output=True, text=True, check=True, timeout=30
        ).stdout


class Pair:
    """A phone and the server on which the daemon runs."""

    def __init__(self, phone: Device, server: Device) -> None:
        self.phone, self.server = phone, server
        phone.start(server)
        server.start(phone)
        self._wait_until(connected=True)

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """While the phone is out of reach."""
        self.phone.api("POST", "system/pause", device=self.server.id)
        try:
            self._wait_until(connected=False)
            yield
            # Else each might first hear of the other's change, and wait a minute before it looks at its own again.
            for one in (self.phone, self.server):
                one.api("POST", "db/scan", folder=_FOLDER)
        finally:
            self.phone.api("POST", "system/resume", device=self.server.id)
            self._wait_until(connected=True)

    @contextlib.contextmanager
    def slow(self, kib_per_second: int) -> Iterator[None]:
        """While the phone has a bad connection."""
        self.phone.api("PATCH", "config/options", {"maxSendKbps": kib_per_second})
        try:
            yield
        finally:
            self.phone.api("PATCH", "config/options", {"maxSendKbps": 0})

    def stop(self) -> None:
        self.phone.stop()
        self.server.stop()

    def _wait_until(self, *, connected: bool) -> None:
        wait_until(
            lambda: self.phone.is_connected_to(self.server) is connected is self.server.is_connected_to(self.phone),
            lambda: f"phone:\n{self.phone.log()}\nserver:\n{self.server.log()}",
            patience=60,
        )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
