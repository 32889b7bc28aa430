"""When events are relied on, when the folder is looked at every two seconds instead, and what is said of it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from harness import wait_until

from dropbox_runner.core.seen import Look, Seen
from dropbox_runner.core.settle import Arrival
from dropbox_runner.core.states import State
from dropbox_runner.daemon.doorbell import Doorbell
from dropbox_runner.daemon.watcher import Watcher
from dropbox_runner.daemon.watching import BLIND_POLL, Watching
from dropbox_runner.folder.filesystem import Filesystem
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.store import Store

Make = Callable[..., Watching]

POLL = 30.0
LOCAL = Filesystem("ext4", "/")
LIMITS = [
    (errno.ENOSPC, "fs.inotify.max_user_watches"),
    (errno.EMFILE, "fs.inotify.max_user_instances"),
]


class Kernel:
    """Real watchers, until it is told to refuse them."""

    def __init__(self) -> None:
        self.refuses: int | None = None
        self.opened: list[Watcher] = []

    def open(self, bell: Doorbell) -> Watcher:
        if self.refuses is not None:
            raise OSError(self.refuses, "refused")
        self.opened.append(Watcher(bell))
        return self.opened[-1]


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Silent(Watcher):
    """Can be had, and never reports anything."""

    def watch(self, folders: Iterable[Path]) -> None:
        pass


@pytest.fixture(autouse=True)
def _propagates(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("dropbox_runner"), "propagate", True)
    caplog.set_level(logging.INFO)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.of(tmp_path / "inbox")
    Store(layout).make()
    return layout


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watching(layout: Layout, clock: Clock) -> Iterator[Make]:
    made = []

    def make(opener: Callable[[Doorbell], Watcher], filesystem: Filesystem = LOCAL) -> Watching:
        gate = layout.root.parent / "gate"
        gate.mkdir(exist_ok=True)
        one = Watching(layout, gate, Doorbell(), open_watcher=opener, filesystem=lambda _: filesystem, clock=clock)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def hears(one: Watching) -> bool:
    """Whether, after another look, it relies on events."""
    one.attend(Look())
    return one.longest_pause(POLL) == POLL


def test_once_an_event_has_come_the_events_are_relied_on(
    layout: Layout, clock: Clock, watching: Make, kernel: Kernel
) -> None:
    one = watching(kernel.open)
    assert one.longest_pause(POLL) == BLIND_POLL, "nobody knows yet whether events come"
    wait_until(lambda: hears(one), "the event of our own file never came")
    assert list(layout.outbox.iterdir()) == []


def test_a_shorter_poll_stays_as_it_is(layout: Layout, clock: Clock, watching: Make, kernel: Kernel) -> None:
    kernel.refuses = errno.EMFILE
    one = watching(kernel.open)
    one.attend(Look())
    assert one.longest_pause(0.5) == 0.5


def test_where_no_event_ever_comes_it_looks_often_and_says_so_once(
    clock: Clock, watching: Make, caplog: pytest.LogCaptureFixture
) -> None:
    one = watching(Silent)
    for clock.now in (0.0, 0.5, 2.0, 4.0, 6.0):
        assert not hears(one)
        said = [entry.message for entry in caplog.records if "no file events arrive" in entry.message]
        assert len(said) == (1 if clock.now > 1.0 else 0)


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs"])
def test_where_not_every_change_causes_an_event_it_looks_often_and_listens_all_the_same(
    kind: str, layout: Layout, clock: Clock, watching: Make, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    one = watching(kernel.open, Filesystem(kind, "/mnt/nas"))
    one.attend(Look())
    wait_until(one._hears, "the event of our own file never came")
    for clock.now in (0.0, 2.0, 4.0):
        assert not hears(one)
    assert [entry.message for entry in caplog.records] == [
        f"{layout.root} is on /mnt/nas ({kind}), where not every change causes an event: looking every 2 s as well"
    ]
    (layout.root / "a.yaml").touch()
    wait_until(one.hints, "what is done on this machine is no longer noticed at once")


@pytest.mark.parametrize(("number", "sysctl"), LIMITS, ids=["watches", "instances"])
def test_at_a_limit_of_the_kernel_it_looks_often_names_the_limit_and_tries_again_later(
    number: int,
    sysctl: str,
    layout: Layout,
    clock: Clock,
    watching: Make,
    kernel: Kernel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kernel.refuses = number
    one = watching(kernel.open)
    for clock.now in (0.0, 2.0, 4.0, 299.0):
        assert not hears(one)
    assert [sysctl in entry.message for entry in caplog.records] == [True]
    kernel.refuses = None
    assert not hears(one)
    clock.now = 301.0
    wait_until(lambda: hears(one), "it never tried again")
    assert caplog.records[-1].message == "file events arrive again"


def test_a_watcher_that_died_is_replaced_at_the_next_look(
    layout: Layout, clock: Clock, watching: Make, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    one = watching(kernel.open)
    wait_until(lambda: hears(one), "no start")
    kernel.opened[0]._reader.stop()
    kernel.opened[0]._reader.join()
    clock.now = 1000.0
    wait_until(lambda: hears(one), "nobody watches any more")
    assert len(kernel.opened) == 2
    assert [entry.message for entry in caplog.records][-1] == "file events arrive again"
    (layout.root / "a.yaml").touch()
    wait_until(one.hints, "the new one does not watch")


def test_a_watcher_that_dies_again_and_again_is_not_replaced_at_every_look(
    layout: Layout, clock: Clock, watching: Make, kernel: Kernel
) -> None:
    one = watching(kernel.open)
    for clock.now in range(100):
        one.attend(Look())
        kernel.opened[-1]._reader.stop()
        kernel.opened[-1]._reader.join()
    assert len(kernel.opened) == 1
    assert one.longest_pause(POLL) == BLIND_POLL


def test_a_long_queue_is_not_watched_one_by_one(layout: Layout, clock: Clock, watching: Make, kernel: Kernel) -> None:
    one = watching(kernel.open)
    tasks = tuple(Seen(f"t{number}", State.PENDING, None) for number in range(101))
    for task in tasks:
        layout.task(State.PENDING, task.name).mkdir()
    one.attend(Look(tasks=tasks[:100]))
    assert layout.task(State.PENDING, "t7") in kernel.opened[0]._watches
    one.attend(Look(tasks=tasks))
    assert layout.task(State.PENDING, "t7") not in kernel.opened[0]._watches


@pytest.mark.parametrize("stage", ["", ".dropbox.cache", ".debris"])
def test_below_the_folder_of_a_tool_that_downloads_elsewhere_a_file_that_is_moved_in_counts_as_written(
    layout: Layout, watching: Make, kernel: Kernel, stage: str
) -> None:
    elsewhere = layout.root.parent / (stage or "elsewhere")
    elsewhere.mkdir()
    (elsewhere / "x.yaml").write_text("instructions: half a sen")
    one = watching(kernel.open)
    wait_until(lambda: hears(one), "the event of our own file never came")
    (elsewhere / "x.yaml").rename(layout.root / "x.yaml")
    [hint] = wait_until(lambda: [hint for hint in one.hints() if hint.name == "x.yaml"], "no event")
    assert hint.arrival is (Arrival.WRITTEN if stage else Arrival.MOVED_IN)
