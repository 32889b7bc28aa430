"""What systemd is told, datagram by datagram, over a socket as systemd would have made it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from harness import World, wait_until

from dropbox_runner.daemon.notify import Manager

Message = dict[str, str]


class Listener:
    """The other end of the socket."""

    def __init__(self, address: str) -> None:
        self.name = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(0)
        self._heard: list[Message] = []

    def heard(self) -> list[Message]:
        """Everything that has been said so far, oldest first."""
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._socket.recv(65536).decode().split("\n")
                self._heard.append(dict(line.split("=", 1) for line in lines))
        return self._heard

    def wait_for(self, name: str, value: str = "") -> Message:
        """Wait until this was said, and return the whole message."""

        def found() -> list[Message]:
            return [one for one in self.heard() if name in one and value in one[name]]

        return wait_until(found, lambda: f"{name}={value} was never said, but: {self.heard()}")[0]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a file", "an abstract name"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    one = Listener(str(tmp_path / "notify") if request.param == "a file" else f"@dropbox-runner-test/{os.getpid()}")
    yield one
    one.close()


@pytest.fixture
def told(world: World) -> Iterator[Listener]:
    """What a daemon in this world tells."""
    one = Listener(str(world.base / "notify"))
    world.environment["NOTIFY_SOCKET"] = one.name
    yield one
    one.close()


def manager(listener: Listener, **more: str) -> Manager:
    return Manager({"NOTIFY_SOCKET": listener.name, **more})


def test_it_says_that_it_is_ready_once_and_what_goes_on_whenever_that_changes(listener: Listener) -> None:
    one = manager(listener)
    for status in ("1 pending", "1 pending", "1 running\nand more"):
        one.looked(status)
        one.acted()
    assert listener.heard() == [{"READY": "1", "STATUS": "1 pending"}, {"STATUS": "1 running and more"}]


def test_a_reload_ends_with_the_next_look(listener: Listener) -> None:
    one = manager(listener)
    one.looked("x")
    before = time.monotonic_ns() // 1000
    one.reloading()
    one.looked("x")
    _, reloading, ready = listener.heard()
    assert reloading["RELOADING"] == "1"
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert ready == {"READY": "1"}


def test_stopping_asks_for_the_time_that_the_agents_get_and_some_more(listener: Listener) -> None:
    manager(listener).stopping(300)
    assert listener.heard() == [{"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "330000000"}]


@pytest.mark.parametrize("pid", ["", "ours"])
def test_a_watchdog_is_fed_by_every_look_and_every_action(listener: Listener, pid: str) -> None:
    one = manager(listener, WATCHDOG_USEC="3000000", WATCHDOG_PID=pid and str(os.getpid()))
    assert one.watchdog == 3
    one.looked("x")
    one.acted()
    one.looked("x")
    assert [one.get("WATCHDOG") for one in listener.heard()] == ["1", "1", "1"]


@pytest.mark.parametrize(
    "variables",
    [{"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {}],
    ids=str,
)
def test_a_watchdog_that_is_off_or_another_process_s_is_not_fed(listener: Listener, variables: Message) -> None:
    one = manager(listener, **variables)
    one.looked("x")
    assert one.watchdog is None
    assert listener.heard() == [{"READY": "1", "STATUS": "x"}]


@pytest.mark.parametrize("path", ["", "/no/such/socket", "@nobody-listens-here", "vsock:2:1", "relative"])
def test_without_anybody_who_listens_nothing_happens(path: str) -> None:
    one = Manager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"})
    one.looked("x")
    one.acted()
    one.reloading()
    one.stopping(1)


def test_what_was_not_heard_is_said_again(tmp_path: Path) -> None:
    one = Manager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    one.looked("x")
    late = Listener(str(tmp_path / "notify"))
    one.looked("x")
    assert late.heard() == [{"READY": "1", "STATUS": "x"}]
    late.close()


def test_a_manager_that_does_not_read_holds_nobody_up_for_long(listener: Listener) -> None:
    one = manager(listener)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
        flood.settimeout(0)
        address = f"\0{listener.name[1:]}" if listener.name.startswith("@") else listener.name
        with contextlib.suppress(BlockingIOError):
            while True:
                flood.sendto(b"X=1", address)
    begin = time.monotonic()
    one.looked("x")
    assert time.monotonic() - begin < 5


def test_the_variables_are_taken_away_from_whatever_we_start() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "HOME": "/home/me"}
    Manager(environment)
    assert environment == {"HOME": "/home/me"}


# ---------------------------------------------------------------------------------------------- a whole daemon


def test_a_daemon_tells_its_whole_life(world: World, told: Listener, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    world.play([{"wait_for": str(gate)}, {"ask": {"text": "Well?"}}])
    daemon = world.start()
    told.wait_for("READY")
    assert told.heard()[0] == {"READY": "1", "STATUS": "nothing to do"}
    world.move_in("x.yaml")
    told.wait_for("STATUS", "1 running")
    gate.touch()
    told.wait_for("STATUS", "1 waits for you")
    (world.root / "PAUSE").touch()
    told.wait_for("STATUS", "1 waits for you; paused: the file PAUSE")
    daemon.stop()
    assert int(told.wait_for("STOPPING")["EXTEND_TIMEOUT_USEC"]) >= 30_000_000
    assert not any("WATCHDOG" in one for one in told.heard())


def test_a_folder_that_cannot_be_read_is_no_reason_to_be_started_again_and_again(world: World, told: Listener) -> None:
    world.environment["WATCHDOG_USEC"] = "1000000"
    world.start("--poll", "0.2")
    # Not through permissions: they mean nothing to root.
    (world.root / "blocked").rmdir()
    (world.root / "blocked").symlink_to("blocked")
    told.wait_for("STATUS", "the folder cannot be read, nothing is done until it can: ")
    told.wait_for("WATCHDOG")
    (world.root / "blocked").unlink()
    (world.root / "blocked").mkdir()
    told.wait_for("STATUS", "nothing to do")


def test_a_daemon_at_rest_feeds_the_watchdog_in_time(world: World, told: Listener) -> None:
    world.environment["WATCHDOG_USEC"] = "1000000"
    world.start()
    fed: list[float] = []

    def often() -> bool:
        count = sum("WATCHDOG" in one for one in told.heard())
        fed.extend([time.monotonic()] * (count - len(fed)))
        return count >= 6

    wait_until(often, "it was not fed six times")
    assert max(later - before for before, later in pairwise(fed)) < 1


def test_a_daemon_that_is_stuck_does_not_feed_it(world: World, told: Listener) -> None:
    world.environment["WATCHDOG_USEC"] = "200000"
    daemon = world.start()
    daemon.process.send_signal(signal.SIGSTOP)
    told.heard().clear()
    time.sleep(0.5)
    told.heard().clear()
    time.sleep(0.5)
    assert told.heard() == []
    daemon.process.send_signal(signal.SIGCONT)
    told.wait_for("WATCHDOG")


def test_an_agent_cannot_speak_for_the_daemon(world: World, told: Listener, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    world.environment |= {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}
    world.settings(pass_env="['*']")
    world.play([{"bash": f"env > {seen}"}, {"say": "Done."}])
    world.start()
    world.move_in("x.yaml")
    world.wait_for("x", "done")
    assert "NOTIFY_SOCKET" not in seen.read_text()
    assert "WATCHDOG" not in seen.read_text()
