"""Which names mean something: the table of files.md, and what a task's folder may be called."""

from __future__ import annotations

import os
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dropbox_runner.core.names import (
    Kind,
    folder_name,
    is_cancel,
    is_partial,
    is_pause,
    kind_of,
    numbered,
    printable,
    readable,
    same_file,
)

TEMPORARY = {
    "Syncthing": [
        *(".syncthing.fix.yaml.tmp", "~syncthing~fix.yaml.tmp", f".syncthing.{'0af9' * 16}.tmp"),
        *(".stfolder", ".stignore", ".stversions"),
    ],
    "rsync": [".fix.yaml.Ab3dEf", ".~tmp~", ".rsync-partial"],
    "rclone": ["fix.yaml.aB3dE6gH.partial"],
    "Unison": [".unison.fix.yaml.1234.unison.tmp", ".bak.1.fix.yaml"],
    "Nextcloud": [
        ".fix.yaml.~1a2b",
        "fix.yaml.~1a2b",
        "fix.yaml.part",
        "fix.yaml.filepart",
        ".sync_4f2a.db",
        ".owncloudsync.log",
    ],
    "Dropbox": [".dropbox", ".dropbox.attr", ".dropbox.cache"],
    "Google Drive": [".tmp.driveupload", ".tmp.drivedownload"],
    "OneDrive": [".849C9593-D756-4E56-8D6E-42412F2A707B", "~fix.tmp"],
    "iCloud": [".fix.yaml.icloud"],
    "Seafile": [".seafile-data"],
    "Resilio": ["fix.yaml.!sync", "fix.yaml.bts", "fix.yaml.rsls", ".sync"],
    "pCloud, FreeFileSync, Drive for desktop": ["fix.yaml.pcloudtmp", "fix.yaml.ffs_tmp", "fix.yaml.gdtmp"],
    "phones": [".pending-1763800000-fix.yaml", ".trashed-1763800000-fix.yaml"],
    "browsers": [
        *("fix.yaml.crdownload", "Unconfirmed 12345.crdownload", "fix.yaml.download", "fix.yaml.opdownload"),
        *("fix.md.part", "fix.md.crswap", "fix.md.aria2", "fix.md.!ut", "fix.md.!qB"),
    ],
    "macOS": [".DS_Store", "._fix.yaml", "Icon\r", "__MACOSX", ".Trashes", "fix.md.sb-8d6f2b4c-AbCdEf"],
    "TextEdit": ["(A Document Being Saved By TextEdit)", "(A Document Being Saved By TextEdit 2)"],
    "Windows": [
        "Thumbs.db",
        "desktop.ini",
        "fix.yaml:Zone.Identifier",
        "~$fix.md",
        "~WRL0001.tmp",
        "$RECYCLE.BIN",
        "RECYCLER",
    ],
    "vim": ["fix.yaml~", ".fix.yaml.swp", ".fix.yaml.swx", "4913", "fix.yaml.swp"],
    "emacs": ["#fix.yaml#", ".#fix.yaml", "fix.yaml~", "fix.yaml.~1~"],
    "nano": [".fix.yaml.swp"],
    "sed -i": ["sedA1b2C3"],
    "VS Code": ["fix.yaml.vsctmp"],
    "JetBrains": ["fix.yaml___jb_tmp___", "fix.yaml___jb_old___"],
    "GNOME": [".goutputstream-A1B2C3"],
    "LibreOffice": [".~lock.fix.md#", "lu12345abc.tmp"],
    "KDE": [".fix.yaml.kate-swp", "fix.yaml.kate-swp", "fix.yaml.hTxYzQ", ".directory"],
    "programs that save atomically": [
        "fix.yaml.1763800000123",
        "fix.yaml.tmp.4711.1763800000",
        "fix.yaml.tmp-4711",
        "tmpab12cd_9",
    ],
    "backups": ["fix.yaml.bak", "fix.yaml.orig", "fix.yaml.rej", "fix.yaml.old", "FIX.YAML.TMP"],
    "NFS and FUSE": [".nfs00000000000123", ".fuse_hidden000001"],
    "network storage": ["@eaDir", "#recycle", "@Recycle", "@Recently-Snapshot", "fix.yaml@SynoEAStream", "lost+found"],
    "git and others that lock what they write": ["fix.yaml.lock", "fix.yaml.new"],
}
CONFLICT = {
    "Syncthing": [
        "fix.sync-conflict-20261122-063840-2BBAXIU.yaml",
        "fix.sync-conflict-20261122-063840.yaml",
        "answer.sync-conflict-20261122-063840-2BBAXIU.md",
    ],
    "Nextcloud": [
        "fix (conflicted copy 2026-01-01 120000).yaml",
        "fix (conflicted copy bob 2026-01-01 120000).yaml",
        "fix (case clash from 2026-01-01 120000).yaml",
    ],
    "kDrive": ["fix_conflict_20260101_120000_a1b2c3d4e5.yaml"],
    "ownCloud": ["fix_conflict-20260101-120000.yaml", "fix_conflict-bob-20260101-120000.yaml"],
    "Dropbox": [
        *("fix (Bob's conflicted copy 2026-01-01).yaml", "fix (Case Conflict).yaml", "fix (Case Conflict 1).yaml"),
        *("fix (Selective Sync Conflict).yaml", "fix (Unicode Encoding Conflict).yaml"),
        *("fix (In Konflikt stehende Kopie von Bob 2026-01-01).yaml", "fix (Copie en conflit de Bob 2026-01-01).md"),
        "fix (Copia conflictiva de Bob 2026-01-01).md",
        *("fix (Cópia em conflito de Bob 2026-01-01).md", "fix (Bobs konfliktkopia 2026-01-01).md"),
        *("fix (Conflicterende kopie van Bob 2026-01-01).md", "fix (Kopia powodująca konflikty Bob 2026-01-01).md"),
        *("fix (Конфликтующая копия с компьютера bob 2026-01-01).md", "fix (Bobs modstridende kopi 2026-01-01).md"),
        *(
            "fix (Bob の競合コピー 2026-01-01).md",
            "fix (Bob 的冲突副本 2026-01-01).md",
            "fix (Bob의 충돌된 사본 2026-01-01).md",
        ),
    ],
    "Seafile": ["fix (SFConflict bob@example.org 2026-01-01-12-00-00).yaml"],
    "Resilio": ["fix.Conflict.yaml", "fix.yaml.Conflict"],
    "rclone bisync": ["fix.yaml.conflict1", "fix.conflict2.yaml", "fix.yaml..path1", "fix..path2.yaml"],
    "Unison": ["fix (copy: conflict on 2026-01-01).yaml", "fix (copy: conflict #2 on 2026-01-01).yaml"],
    "OneDrive": ["fix-laptop-safeBackup-0001.yaml"],
    "Google Drive": ["fix[Conflict].yaml", "fix_conf(1).yaml"],
    "Synology Drive": ["fix_laptop_Nov-22-120000-2026_Conflict.yaml"],
    "Maestral": ["fix (normalization conflict).yaml", "fix (unicode conflict 1).yaml"],
    "Obsidian": ["fix (Conflicted copy phone 202611221200).md"],
}
LEFT_ALONE = {
    "drafts": ["fix.draft.yaml", "fix.DRAFT.md", "fix.draft"],
    "ours and readmes": ["README.md", "readme.txt", "README", "STATUS.md", "status.html", "PAUSE", "PAUSE.txt"],
    "Seafile's own": ["seafile-ignore.txt"],
    "our own folders": ["pending", "running", "blocked", "done", "failed"],
}
OTHER = [
    *("photo.jpg", "notes", "data.json", "archive.tar.gz", "yaml", "report.pdf", "fix.yaml.zip", "fix.gdoc"),
    # Nobody is told of a readme; this may have been meant for a task.
    *("readme-update.md", "status page.yaml", "LICENSE-MIT", "CHANGELOG.md", "pause-video.yaml", "PAUSE (1).txt"),
]
TASKS = [
    *("fix.yaml", "fix.yml", "fix.md", "fix.markdown", "fix.txt", "FIX.YAML", "Fix Login.Md", "übung.yaml"),
    # Near misses: words that begin like ours, a draft of something, a conflict as the subject.
    *("statuses.yaml", "readmeless.md", "resolve conflict.md", "draft.yaml", "pauses.yaml", "done.yaml", "tmp.yaml"),
    *("v1.2.yaml", "a.b.c.md", "-rf.yaml", "%s.yaml", "'quoted'.yaml", "sedA1b2C3.yaml"),
    *("resolve_conflict.yaml", "the conflicted copy.md", "sync-conflict.md", "my conflict 2.txt", "fix (1).yaml"),
    *("fix-laptop.yaml", "fix 2.md", "fix (copy).yaml", "(Case studies).md", "en conflit.md", "backup.md", "old.txt"),
    *("4913.md", "swp.yaml", "fix.backup.yaml", "part.md", "download.yaml", "tmpab12cd_9.txt", "a~b.md", "a#1.md"),
    *("changelog.md", "license-check.yaml"),
    *("fix (en conflit).md", "plan (2026-01-01).md", "issue #12.md", "new.md", "lock.yaml", "c# port.md", "@home.yaml"),
]
PARTIAL = {
    "Syncthing": [".syncthing.data.csv.tmp", "~syncthing~data.csv.tmp"],
    "rsync": [".data.csv.Ab3dEf", ".Makefile.x9Yz12"],
    "Unison": [".unison.data.csv.1234.unison.tmp"],
    "Nextcloud": [".data.csv.~1a2b"],
    "iCloud": [".data.csv.icloud"],
    "Resilio": ["data.csv.!sync"],
    "browsers and file managers": ["data.csv.part", "data.csv.crdownload", "data.csv.aB3dE6gH.partial"],
    "GNOME": [".goutputstream-A1B2C3"],
    "phones": [".pending-1763800000-data.csv"],
}
WHOLE = [
    ".gitignore",
    ".env",
    ".bashrc.backup",
    ".config.000001",
    "data.csv",
    "a.tmp",
    "old~",
    ".eslintrc.json",
    "party",
]


def rows(table: dict[str, list[str]]) -> list[object]:
    return [pytest.param(name, id=f"{program}: {name!r}") for program, names in table.items() for name in names]


@pytest.mark.parametrize("name", rows(TEMPORARY))
def test_a_programs_own_file_is_no_task(name: str) -> None:
    assert kind_of(name) is Kind.TEMPORARY


@pytest.mark.parametrize("name", rows(CONFLICT))
def test_a_conflict_copy_is_reported_and_never_run(name: str) -> None:
    assert kind_of(name) is Kind.CONFLICT


@pytest.mark.parametrize("name", rows(LEFT_ALONE))
def test_what_is_none_of_our_business_is_left_alone(name: str) -> None:
    assert kind_of(name) is Kind.LEFT_ALONE


@pytest.mark.parametrize("name", OTHER)
def test_another_kind_of_file_is_left_alone_too_but_its_owner_may_have_meant_it(name: str) -> None:
    assert kind_of(name) is Kind.OTHER


@pytest.mark.parametrize("name", rows(PARTIAL))
def test_a_file_that_is_just_being_brought_is_known_by_its_name(name: str) -> None:
    assert is_partial(name)


@pytest.mark.parametrize("name", WHOLE)
def test_an_attachment_with_an_odd_name_is_whole(name: str) -> None:
    assert not is_partial(name)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_a_task(name: str) -> None:
    assert kind_of(name) is Kind.TASK


@pytest.mark.parametrize(
    ("name", "pauses"),
    [
        ("PAUSE", True),
        ("PAUSE.txt", True),
        ("PAUSE.md", True),
        ("pause", True),
        ("Pause.txt", True),
        ("pause-video.yaml", False),
        ("PAUSED", False),
        ("x.PAUSE", False),
        ("PAUSE.tmp", False),
    ],
)
def test_the_file_that_pauses(name: str, *, pauses: bool) -> None:
    assert is_pause(name) is pauses


@pytest.mark.parametrize(
    ("name", "cancels"),
    [
        ("cancel", True),
        ("Cancel.txt", True),
        ("cancel.txt.txt", True),
        ("cancel.rtf", True),
        ("cancel-1", False),
        ("cancelled.md", False),
        ("cancel.txt~", False),
        (".cancel.swp", False),
        ("cancel.draft.txt", False),
        ("cancel.sync-conflict-20261122-063840-2BBAXIU.txt", False),
    ],
)
def test_the_file_that_calls_a_task_off(name: str, *, cancels: bool) -> None:
    assert is_cancel(name) is cancels


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("fix-login.yaml", "fix-login"),
        ("fix login.yaml", "fix-login"),
        ("Fix  Login!!.md", "Fix-Login"),
        ("v1.2.yaml", "v1.2"),
        ("übung.yaml", "übung"),
        ("u\u0308bung.yaml", "übung"),
        ("日本語.txt", "日本語"),
        ("-rf.yaml", "rf"),
        (".yaml", "yaml"),
        ("$(reboot).yaml", "reboot"),
        ("a\nb\x1b[31m.yaml", "a-b-31m"),
        ("../../etc/passwd.yaml", "passwd"),
        ("\udcff.yaml", "task"),
        ("!!!.yaml", "task"),
        # A dropped folder keeps its whole name.
        ("v1.2/task.yaml", "v1.2"),
        ("my photos/task.md", "my-photos"),
        # Names that Windows keeps for devices.
        ("con.yaml", "task-con"),
        ("AUX.md", "task-AUX"),
        ("com1.log.txt", "task-com1.log"),
        ("console.yaml", "console"),
    ],
)
def test_the_folders_name_is_that_of_the_file_without_what_bites(file: str, folder: str) -> None:
    assert folder_name(file) == folder


_names = st.text(min_size=1, max_size=260) | st.binary(min_size=1, max_size=255).map(os.fsdecode)


@given(_names)
@example("é" * 200 + ".yaml")
@example("." * 50 + ".yaml")
@example("a" * 99 + "-b.yaml")
@example("..yaml")
@example("日" * 34)
def test_a_folders_name_is_never_hidden_empty_a_path_or_too_long(file: str) -> None:
    name = folder_name(file)
    assert name
    assert name[0] not in ".-"
    assert name[-1] not in ".-", "Windows cannot hold a name that ends with a dot"
    assert not set(name) & set("/\\\0\n\r\t :*?\"<>|'`$;&(){}[]!#~%^,")
    assert len(name.encode()) <= 100
    assert name.isprintable()
    assert folder_name(f"{name}.yaml") == name, "a task that is dropped again keeps its name"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x.yaml", "x.yml"),
        ("x.yaml", "x.YAML"),
        ("x.md", "x.markdown"),
        ("\u00fcbung.yaml", "u\u0308bung.yaml"),
        ("\u00fcbung/task.yaml", "u\u0308bung/task.yaml"),
        ("x/task.yaml", "x/task.md"),
    ],
)
def test_names_that_mean_the_same_file(one: str, other: str) -> None:
    assert same_file(one) == same_file(other)


@pytest.mark.parametrize("other", ["y.yaml", "X.yaml", "x.md", "x.txt", "x.2.yaml", "x/task.yaml", "x"])
def test_names_that_mean_another_file(other: str) -> None:
    assert same_file("x.yaml") != same_file(other)


def test_the_numbers_of_a_taken_name() -> None:
    assert [numbered("x", number) for number in (1, 2, 3)] == ["x", "x-2", "x-3"]


@given(st.text() | st.binary().map(os.fsdecode))
def test_what_is_shown_stays_on_its_line_and_steers_no_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()


def test_a_name_that_looks_like_the_escape_of_another_reads_otherwise() -> None:
    """Else its file would be taken for an edit of the other's task."""
    assert readable("\udcff.yaml") == r"\xff.yaml"
    assert readable(r"\xff.yaml") == r"\\xff.yaml"
    assert readable("fix login ü.yaml") == "fix login ü.yaml"


def test_ordinary_text_is_shown_as_it_is() -> None:
    text = string.ascii_letters + " äöü 日本 – …"
    assert printable(text) == text
    assert printable("a\n12:00:00 b\x1b[2J") == r"a\n12:00:00 b\x1b[2J"
