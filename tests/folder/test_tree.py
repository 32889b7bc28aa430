"""A dropped folder as a whole: who is still at it, and what is never taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dropbox_runner.folder import tree
from dropbox_runner.folder.tree import survey, who_writes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "report"
    (root / "data" / "deep").mkdir(parents=True)
    (root / "task.yaml").write_text("instructions: x\n")
    (root / "data" / "deep" / "numbers.csv").write_text("1,2\n")
    return root


def test_a_quiet_tree_is_whole(root: Path) -> None:
    seen = survey(root)
    assert (seen.refused, seen.busy, seen.locked, who_writes(seen)) == ("", "", "", "")
    assert survey(root).fingerprint == seen.fingerprint
    assert [path.name for path in seen.files] == ["task.yaml", "numbers.csv"]


def test_every_change_deep_inside_is_seen(root: Path) -> None:
    deep = root / "data" / "deep"
    seen = {survey(root).fingerprint}
    (deep / "numbers.csv").write_text("1,2\n3,4\n")
    seen.add(survey(root).fingerprint)
    (deep / "more.csv").touch()
    seen.add(survey(root).fingerprint)
    (deep / "empty").mkdir()
    seen.add(survey(root).fingerprint)
    os.utime(deep / "more.csv", ns=(1, 1))
    seen.add(survey(root).fingerprint)
    (deep / "more.csv").rename(deep / "less.csv")
    seen.add(survey(root).fingerprint)
    assert len(seen) == 6


@pytest.mark.parametrize("name", [".syncthing.a.csv.tmp", ".a.csv.Ab3dEf", "a.csv.part", "a.csv.crdownload"])
def test_a_file_that_is_still_being_brought_is_named(root: Path, name: str) -> None:
    (root / "data" / name).touch()
    assert survey(root).busy == f"data/{name} is still being brought"


def test_hidden_attachments_are_whole(root: Path) -> None:
    for name in (".gitignore", ".env", "notes~"):
        (root / name).write_text("x")
    assert survey(root).busy == ""


def test_an_editor_that_has_a_file_in_it_open_is_named(root: Path) -> None:
    (root / "data" / "deep" / ".numbers.csv.swp").touch()
    assert "data/deep/numbers.csv open" in survey(root).locked
    (root / ".#task.yaml").symlink_to(f"me@{os.uname().nodename}.{os.getpid()}:1")
    assert survey(root).busy == "emacs still has task.yaml open"
    assert survey(root).refused == "", "the lock of emacs is a link"


def test_a_program_that_writes_deep_inside_is_seen(root: Path) -> None:
    hold = "import sys; file = open(sys.argv[1], 'a'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(root / "data" / "deep" / "numbers.csv")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert "numbers.csv" in who_writes(survey(root))
        process.communicate(b"")
    assert who_writes(survey(root)) == ""


def test_links_and_pipes_are_refused_and_never_followed(root: Path) -> None:
    (root / "data" / "up").symlink_to("/")
    seen = survey(root)
    assert "data/up is a symbolic link" in seen.refused
    assert len(seen.files) == 2
    (root / "data" / "up").unlink()
    os.mkfifo(root / "pipe")
    seen = survey(root)
    assert "pipe is a pipe" in seen.refused
    assert who_writes(seen) == ""


def test_a_huge_tree_does_not_hold_up_the_loop(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MOST", 20)
    for number in range(40):
        (root / f"{number}.txt").touch()
    assert "more than 20 files" in survey(root).refused
    assert survey(root).files == ()
