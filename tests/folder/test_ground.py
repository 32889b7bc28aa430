"""Whether the folder is still the one that the daemon was started for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dropbox_runner.core.errors import RefusedError
from dropbox_runner.core.states import State
from dropbox_runner.folder import owner
from dropbox_runner.folder.ground import Ground, check_moves, lack_of_room
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.store import Store


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "here"))
    layout = Layout.of(tmp_path / "inbox")
    layout.root.mkdir()
    owner.claim(layout, take_over=False)
    Store(layout).make()
    return layout


def test_a_folder_that_is_away_is_not_one_without_tasks(layout: Layout) -> None:
    ground = Ground(layout)
    ground.check()
    away = layout.root.rename(layout.root.with_name("away"))
    with pytest.raises(FileNotFoundError):
        ground.check()
    # A disk was unmounted: its mount point is an empty folder.
    layout.root.mkdir()
    with pytest.raises(OSError, match="is its disk mounted"):
        ground.check()
    assert list(layout.root.iterdir()) == [], "nothing is made in a folder that may be anybody's"
    layout.root.rmdir()
    away.rename(layout.root)
    ground.check()


def test_a_copy_that_came_back_in_its_place_is_still_ours(layout: Layout) -> None:
    ground = Ground(layout)
    copy = layout.root.with_name("copy")
    shutil.copytree(layout.root, copy)
    shutil.rmtree(layout.root)
    copy.rename(layout.root)
    ground.check()


def test_a_state_folder_that_was_removed_is_made_again(layout: Layout) -> None:
    ground = Ground(layout)
    layout.state(State.FAILED).rmdir()
    ground.check()
    assert layout.state(State.FAILED).is_dir()


def test_a_state_folder_that_goes_away_with_tasks_in_it_is_waited_for(layout: Layout) -> None:
    ground = Ground(layout)
    away = layout.state(State.RUNNING).rename(layout.root.with_name("away"))
    with pytest.raises(FileNotFoundError, match="tasks lay in it"):
        ground.check({State.RUNNING})
    assert not layout.state(State.RUNNING).exists()
    away.rename(layout.state(State.RUNNING))
    ground.check({State.RUNNING})


def test_a_lost_owner_file_is_written_again(layout: Layout) -> None:
    ground = Ground(layout)
    ground.check()
    shutil.rmtree(layout.hidden)
    ground.check()
    assert owner.owner_of(layout) == owner.this_machine(layout)


def test_when_another_machine_takes_the_folder_over_this_one_gives_it_up(layout: Layout) -> None:
    ground = Ground(layout)
    ground.check()
    # As a sync tool brings it: another file under the name.
    temp = layout.hidden / "new"
    temp.write_text('{"id": "another", "host": "laptop", "path": "/home/me/inbox"}')
    temp.replace(layout.owner)
    with pytest.raises(RefusedError, match="taken over by laptop"):
        ground.check()


@pytest.mark.parametrize("half", ["", '{"id": "ano', "{}"])
def test_half_an_owner_file_stops_the_work_and_ends_nothing(layout: Layout, half: str) -> None:
    ground = Ground(layout)
    ground.check()
    whole = layout.owner.read_text()
    layout.owner.write_text(half)
    with pytest.raises(OSError, match="does not say which machine"):
        ground.check()
    layout.owner.write_text(whole)
    ground.check()


def test_moves_are_tried_and_leave_nothing_behind(layout: Layout) -> None:
    before = sorted(layout.root.rglob("*"))
    check_moves(layout)
    assert sorted(layout.root.rglob("*")) == before


def test_a_state_into_which_nothing_can_be_moved_is_refused(layout: Layout) -> None:
    layout.state(State.DONE).rmdir()
    layout.state(State.DONE).write_text("a file")
    with pytest.raises(RefusedError, match="done: no task could be moved there"):
        check_moves(layout)


def test_a_lack_of_room_is_said_in_megabytes(layout: Layout) -> None:
    seen = os.statvfs(layout.root)
    free = seen.f_bavail * seen.f_frsize // 1024 // 1024
    assert lack_of_room(layout, 0) is None
    assert lack_of_room(layout, free // 2) is None
    assert f"{free * 2 + 1000} MB are needed" in str(lack_of_room(layout, free * 2 + 1000))
