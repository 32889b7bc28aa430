"""Which filesystems tell of every change, and how a folder's own is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbox_runner.folder.filesystem import Filesystem, filesystem_of, find_mount

MOUNTS = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:25 / /home rw,relatime - btrfs /dev/vdb rw,subvol=/@home
31 27 0:26 / /mnt/my\040disk rw,nosuid - fuseblk /dev/sdb1 rw,user_id=0
32 30 0:27 / /home/ann/nas rw,relatime shared:5 master:1 - nfs4 nas:/volume rw,vers=4.2
33 32 0:28 / /home/ann/nas rw,relatime - fuse.sshfs ann@nas: rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind", "mounted_at"),
    [
        ("/srv/inbox", "ext4", "/"),
        ("/home/ann/inbox", "btrfs", "/home"),
        ("/homely", "ext4", "/"),
        ("/mnt/my disk/inbox", "fuseblk", "/mnt/my disk"),
        ("/home/ann/nas/inbox", "fuse.sshfs", "/home/ann/nas"),
    ],
)
def test_a_folder_is_on_the_innermost_and_latest_mount_above_it(path: str, kind: str, mounted_at: str) -> None:
    assert find_mount(MOUNTS, Path(path)) == Filesystem(kind, mounted_at)


@pytest.mark.parametrize(
    "kind", ["ext4", "btrfs", "xfs", "zfs", "tmpfs", "overlay", "f2fs", "vfat", "ntfs3", "fuseblk"]
)
def test_a_disk_of_this_machine_tells_of_every_change(kind: str) -> None:
    assert Filesystem(kind, "/x").tells_all


@pytest.mark.parametrize(
    "kind",
    ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "vboxsf", "fuse", "fuse.sshfs", "fuse.rclone", "fuse.mergerfs"],
)
def test_a_network_a_host_and_a_fuse_program_do_not(kind: str) -> None:
    assert not Filesystem(kind, "/x").tells_all


def test_this_very_folder_is_on_something(tmp_path: Path) -> None:
    found = filesystem_of(tmp_path.resolve())
    assert found.kind != "unknown"
    assert tmp_path.resolve().is_relative_to(found.mounted_at)
