"""What one look hands on when there is more than it can judge, and what it costs when nothing has changed."""

from __future__ import annotations

import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dropbox_runner.agent.agents import Agents
from dropbox_runner.core.clock import Now
from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.run import Next, Why
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.settle import Arrival
from dropbox_runner.core.states import State
from dropbox_runner.daemon.arrivals import Arrivals
from dropbox_runner.daemon.holding import Holding
from dropbox_runner.daemon.lingering import Lingering
from dropbox_runner.daemon.local import Local
from dropbox_runner.daemon.look import Looker
from dropbox_runner.daemon.watcher import Hint
from dropbox_runner.folder import durable, owner, probe
from dropbox_runner.folder.ground import Ground
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.store import Store

pytestmark = pytest.mark.slow

MANY = 2500


def at(steady: float) -> Now:
    return Now(wall=datetime.now(UTC), steady=steady, boot="b")


class Desk:
    """A folder, and one who looks at it."""

    def __init__(self, base: Path) -> None:
        self.layout = Layout.of(base / "inbox")
        Store(self.layout).make()
        owner.claim(self.layout, take_over=True)
        settings = Settings(claude="/bin/true", settle=5.0)
        self.arrivals = Arrivals()
        self.looker = Looker(
            self.layout,
            settings,
            Agents(),
            self.arrivals,
            Holding(self.layout, settings, Local.at(base)),
            Ground(self.layout),
            Lingering(),
        )

    def drop(self, count: int, text: str = "instructions: x\n") -> None:
        for number in range(count):
            (self.layout.root / f"t{number:05}.yaml").write_text(text)

    def queue(self, count: int) -> None:
        for number in range(count):
            name = f"t{number:05}"
            record = Record(
                id=uuid.uuid4().hex,
                name=name,
                dropped=Dropped(file=f"{name}.yaml", sha256="0", mtime_ns=1),
                taken_at="2026-11-24T00:00:00+00:00",
                session_id=str(uuid.uuid4()),
                next=Next(why=Why.START),
            )
            folder = self.layout.task(State.PENDING, name)
            folder.mkdir()
            (folder / "record.json").write_bytes(record.to_json())
            (folder / "task.yaml").touch()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Desk(tmp_path)


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[object]:
    """Note the calls of a function."""
    calls: list[object] = []
    real = getattr(module, name)

    def count(*given: object) -> Any:
        calls.append(given)
        return real(*given)

    monkeypatch.setattr(module, name, count)
    return calls


def test_of_thousands_of_finished_files_one_look_hands_on_some_and_names_the_others(desk: Desk) -> None:
    desk.drop(MANY)
    desk.arrivals.note(Hint(desk.layout.root, f"t{number:05}.yaml", Arrival.MOVED_IN) for number in range(MANY))
    look = desk.looker.look(at(0.0))
    assert len(look.drops) == 2000
    assert all(drop.wait is None for drop in look.drops)
    assert {drop.file for drop in look.drops} | look.later == {f"t{number:05}.yaml" for number in range(MANY)}


def test_that_a_file_was_moved_in_is_still_known_when_its_turn_comes(desk: Desk) -> None:
    desk.drop(MANY)
    desk.arrivals.note(Hint(desk.layout.root, f"t{number:05}.yaml", Arrival.MOVED_IN) for number in range(MANY))
    taken = 0
    while look := desk.looker.look(at(0.0)).drops:
        for drop in look:
            assert drop.wait is None, f"{drop.file} waits: {drop.wait}"
            (desk.layout.root / drop.file).unlink()
        taken += len(look)
    assert taken == MANY


def test_files_that_can_not_be_taken_do_not_keep_out_the_others(desk: Desk) -> None:
    desk.drop(MANY, "instructions: x\ndone: true\n")
    look = desk.looker.look(at(0.0), refused=400)
    assert len(look.drops) == 2400


def test_files_that_never_end_do_not_keep_out_the_others(desk: Desk) -> None:
    desk.drop(MANY, "")
    (desk.layout.root / "zz.yaml").write_text("instructions: x\ndone: true\n")
    look = desk.looker.look(at(0.0))
    assert [drop.file for drop in look.drops if drop.wait is None] == ["zz.yaml"]


def test_of_thousands_that_are_growing_quiet_some_are_watched_and_then_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.drop(MANY)
    reads = counted(monkeypatch, durable, "read")
    look = desk.looker.look(at(0.0))
    assert len(look.drops) == 2000
    assert len(reads) < 2100
    assert all(drop.wait and drop.wait.until == 5.0 for drop in look.drops)
    look = desk.looker.look(at(6.0))
    assert [drop.wait for drop in look.drops] == [None] * 2000


def test_while_files_grow_quiet_nobody_opens_them_again_and_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.drop(100)
    desk.looker.look(at(0.0))
    reads, leases = counted(monkeypatch, durable, "read"), counted(monkeypatch, probe, "open_for_writing")
    for second in range(1, 5):
        desk.looker.look(at(float(second)))
    assert [given for given in reads if str(given).find(".yaml") > 0] == []
    assert leases == []


def test_a_queue_that_has_not_changed_is_not_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.queue(100)
    monkeypatch.setattr("dropbox_runner.folder.scan._COARSEST_MTIME", -1.0)
    first = desk.looker.look(at(0.0))
    reads = counted(monkeypatch, durable, "read")
    second = desk.looker.look(at(1.0))
    assert [given for given in reads if "record.json" in str(given)] == []
    assert all(one is other for one, other in zip(first.tasks, second.tasks, strict=True))
    (desk.layout.task(State.PENDING, "t00007") / "cancel").touch()
    third = desk.looker.look(at(2.0))
    assert [one.name for one in third.tasks if one.cancel] == ["t00007"]


def test_a_folder_that_we_moved_and_that_is_then_removed_file_by_file_is_waited_for(desk: Desk) -> None:
    """As a sync tool does whose other device has moved it on, the moment after our own move was heard of."""
    desk.queue(1)
    held, copy = (desk.layout.task(state, "t00000") for state in (State.BLOCKED, State.PENDING))
    shutil.copytree(copy, held)
    (held / "question.json").write_text('{"text": "Well?"}')
    desk.arrivals.note([Hint(held.parent, held.name, Arrival.MOVED_IN)])
    desk.looker.look(at(0.0))
    (held / "record.json").unlink()
    [left] = [one for one in desk.looker.look(at(100.0)).tasks if one.state is State.BLOCKED]
    assert left.record is None
    assert left.settling is not None
