"""Who can have written a file, and who can put one into the folder."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from dropbox_runner.core.errors import RefusedError
from dropbox_runner.core.states import State
from dropbox_runner.folder import durable
from dropbox_runner.folder.durable import UnreadableError
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.store import Store
from dropbox_runner.folder.trust import check_folder

NOBODY = 65534
OTHERS = next(group.gr_gid for group in grp.getgrall() if group.gr_gid not in (os.getgid(), 0))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to others")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.of(tmp_path / "inbox")
    Store(layout).make()
    return layout


@pytest.fixture
def file(layout: Layout) -> Path:
    path = layout.root / "task.txt"
    path.write_text("work\n")
    path.chmod(0o644)
    return path


def test_a_file_of_ours_is_read(file: Path) -> None:
    assert durable.read(file) == b"work\n"
    file.chmod(0o600)
    assert durable.read(file) == b"work\n"


def test_a_file_that_everybody_may_write_is_not_read_and_the_mend_is_said(file: Path) -> None:
    file.chmod(0o666)
    with pytest.raises(UnreadableError, match=r"task.txt is not read: everybody may write it \(chmod o-w\)"):
        durable.read(file)


def test_the_users_own_group_may_have_the_right_to_write(file: Path) -> None:
    # Many systems give each user a group of his own, and umask 002.
    own = grp.getgrgid(os.getgid())
    if own.gr_mem or own.gr_name != os.environ.get("USER", "root"):
        pytest.skip("this user has no group of his own")
    file.chmod(0o664)
    assert durable.read(file) == b"work\n"


@as_root
def test_a_file_of_somebody_else_is_not_read(file: Path) -> None:
    os.chown(file, NOBODY, -1)
    with pytest.raises(UnreadableError, match="it belongs to "):
        durable.read(file)


@as_root
def test_a_file_that_another_group_may_write_is_not_read_unless_its_folder_is_that_groups(file: Path) -> None:
    os.chown(file, -1, OTHERS)
    file.chmod(0o664)
    with pytest.raises(UnreadableError, match=r"the group .* may write it \(chmod g-w\)"):
        durable.read(file)
    os.chown(file.parent, -1, OTHERS)
    file.parent.chmod(0o2770)
    os.chown(file, NOBODY, -1)
    assert durable.read(file) == b"work\n"


def test_a_folder_of_ours_is_fine_also_below_one_like_tmp(layout: Layout) -> None:
    layout.root.parent.chmod(0o1777)
    check_folder(layout, None)


@pytest.mark.parametrize("where", [".", "..", "done", ".dropbox-runner"])
def test_a_folder_or_parent_that_everybody_may_write_is_refused_with_the_mend(layout: Layout, where: str) -> None:
    path = Path(os.path.normpath(layout.root / where))
    path.chmod(0o777)
    with pytest.raises(RefusedError, match=f"Mend it with: chmod o-w {path}$"):
        check_folder(layout, None)


def test_an_inbox_is_not_made_safe_by_a_sticky_bit(layout: Layout) -> None:
    layout.root.chmod(0o1777)
    with pytest.raises(RefusedError, match="everybody may write into"):
        check_folder(layout, None)


@as_root
def test_a_group_is_trusted_only_when_the_settings_say_so(layout: Layout) -> None:
    name = grp.getgrgid(OTHERS).gr_name
    os.chown(layout.root, -1, OTHERS)
    layout.root.chmod(0o2770)
    with pytest.raises(RefusedError, match=f"chmod g-w {layout.root}, or, .*`trusted_group: {name}`"):
        check_folder(layout, None)
    check_folder(layout, name)
    check_folder(layout, str(OTHERS))
    layout.state(State.DONE).chmod(0o777)
    with pytest.raises(RefusedError, match="everybody may write"):
        check_folder(layout, name)


@as_root
@pytest.mark.parametrize("where", [".", ".."])
def test_a_folder_or_parent_of_somebody_else_is_refused(layout: Layout, where: str) -> None:
    path = Path(os.path.normpath(layout.root / where))
    os.chown(path, NOBODY, -1)
    with pytest.raises(RefusedError, match=f"{path} belongs to .*, who could have code run as you"):
        check_folder(layout, None)


def test_a_group_that_there_is_not_is_a_mistake_in_the_settings(layout: Layout) -> None:
    with pytest.raises(RefusedError, match="`trusted_group: no-such-group`"):
        check_folder(layout, "no-such-group")
