"""One daemon for one folder, whatever becomes of its lock and whichever path leads there; and none for a copy."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import World, wait_until

from dropbox_runner.core.errors import FolderBusyError
from dropbox_runner.daemon.lock import FolderLock, holder


def test_a_lock_whose_file_was_deleted_still_holds(world: World) -> None:
    first = world.start()
    for file in (world.home / "state").rglob("lock"):
        file.unlink()
    second = world.launch()
    assert second.wait() == 75
    assert f"already run by another daemon (pid {first.pid})" in second.log
    assert f"daemon runs (pid {first.pid})" in world.run("status").stdout
    first.kill()
    world.start()


def test_a_lock_on_a_full_disk_holds_and_names_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "lock"
    monkeypatch.setattr(os, "pwrite", full)
    lock = FolderLock(path, tmp_path)
    assert holder(path, tmp_path) == os.getpid()
    with pytest.raises(FolderBusyError, match=f"pid {os.getpid()}"):
        FolderLock(path, tmp_path)
    lock.release()
    assert holder(path, tmp_path) is None


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="a bind mount needs root")
def test_a_second_path_to_the_same_folder_is_no_second_folder(world: World) -> None:
    first = world.start()
    world.root, inbox = world.base / "the same", world.root
    world.root.mkdir()
    subprocess.run(["mount", "--bind", inbox, world.root], check=True)
    try:
        second = world.launch()
        assert second.wait() == 75
        assert f"(pid {first.pid})" in second.log
        first.kill()
        assert world.start().stop() == 0, "with the first one gone, it is as good as the other path"
    finally:
        subprocess.run(["umount", world.root], check=True)
        world.root = inbox


def test_a_copy_beside_its_original_is_refused_because_it_would_run_everything_again(world: World) -> None:
    world.play([{"sleep": 60}], [{"say": "Done."}])
    world.start()
    world.move_in("x.yaml")
    world.agent_pid("x")
    world.root, original = world.base / "copy", world.root
    shutil.copytree(original, world.root)
    second = world.launch()
    assert second.wait() == 78
    assert f"is a copy of {original}, which is still there" in second.log
    assert "--take-over" in second.log


def test_a_folder_that_was_moved_goes_on_where_it_lies_now(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    world.play([{"wait_for": str(gate)}, {"say": "Done."}])
    first = world.start()
    world.move_in("x.yaml")
    pid = world.agent_pid("x")
    first.kill()
    world.root = world.root.rename(world.base / "moved")
    world.start().wait_for_log(f"adopted: pid {pid}")
    assert str(world.root) in (world.root / ".dropbox-runner" / "owner.json").read_text()
    gate.touch()
    world.wait_for("x", "done")
    wait_until(world.calls, "claude never came up")
    assert len(world.calls()) == 1
