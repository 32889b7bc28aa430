"""Which machine runs a folder."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from dropbox_runner.core.errors import RefusedError
from dropbox_runner.core.states import State
from dropbox_runner.folder import owner
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.store import Store


@pytest.fixture(autouse=True)
def this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "here"))
    return tmp_path / "here"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.of(tmp_path / "inbox")
    layout.root.mkdir()
    return layout


def another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "there"))


def with_a_task(layout: Layout) -> None:
    Store(layout).make()
    layout.task(State.DONE, "x").mkdir()


def test_a_new_folder_is_ours_from_now_on(layout: Layout) -> None:
    owner.claim(layout, take_over=False)
    said = json.loads(layout.owner.read_bytes())
    assert said["host"] == socket.gethostname()
    assert said["path"] == str(layout.root)
    before = layout.owner.read_bytes()
    owner.claim(layout, take_over=False)
    assert layout.owner.read_bytes() == before, "a second start writes nothing (a sync tool would carry it around)"


def test_the_id_of_this_machine_is_made_once_and_is_no_machine_id_of_the_system(
    layout: Layout, this_machine: Path
) -> None:
    first = owner.this_machine(layout)
    assert owner.this_machine(layout).id == first.id
    assert (this_machine / "dropbox-runner" / "machine-id").read_text().strip() == first.id
    system = Path("/etc/machine-id")
    assert not system.exists() or first.id != system.read_text().strip()


def test_another_machine_is_refused_and_told_who_runs_it(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.claim(layout, take_over=False)
    another_machine(monkeypatch, tmp_path)
    with pytest.raises(RefusedError, match=f"is run by {socket.gethostname()} .*--take-over") as refused:
        owner.claim(layout, take_over=False)
    assert refused.value.exit_code == 78


def test_taking_over_makes_the_first_machine_the_stranger(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.claim(layout, take_over=False)
    with monkeypatch.context() as there:
        another_machine(there, tmp_path)
        owner.claim(layout, take_over=True)
        owner.claim(layout, take_over=False)
    with pytest.raises(RefusedError):
        owner.claim(layout, take_over=False)


def test_a_copy_with_tasks_and_without_owner_is_refused(layout: Layout) -> None:
    with_a_task(layout)
    shutil.rmtree(layout.hidden)
    with pytest.raises(RefusedError, match="it may be a copy"):
        owner.claim(layout, take_over=False)
    assert not layout.owner.exists()
    owner.claim(layout, take_over=True)
    assert layout.owner.exists()


def test_an_empty_inbox_without_owner_is_no_copy(layout: Layout) -> None:
    Store(layout).make()
    owner.claim(layout, take_over=False)
    assert layout.owner.exists()


@pytest.mark.parametrize("said", ["", "{", "[]", "{}", "null", "7", '{"host": "x"}', "\x00\x00"])
def test_an_owner_that_makes_no_sense_is_refused_because_guessing_could_run_everything_twice(
    layout: Layout, said: str
) -> None:
    layout.hidden.mkdir()
    layout.owner.write_text(said)
    with pytest.raises(RefusedError, match=r"owner\.json does not say which machine"):
        owner.claim(layout, take_over=False)
    owner.claim(layout, take_over=True)
    owner.claim(layout, take_over=False)


def test_an_empty_id_of_this_machine_is_not_the_same_as_another_empty_id(layout: Layout, this_machine: Path) -> None:
    file = this_machine / "dropbox-runner" / "machine-id"
    file.parent.mkdir(parents=True)
    file.write_text("\n")
    assert owner.this_machine(layout).id != ""
