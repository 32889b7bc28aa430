"""What is done to the folders, and that each of it can be done again after a crash in its middle."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dropbox_runner.core.names import folder_name
from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.run import Next, Why
from dropbox_runner.core.states import State
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.scan import Scanner
from dropbox_runner.folder.store import Store
from dropbox_runner.folder.taskfolder import TaskFolder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(Layout.of(tmp_path / "inbox"))
    store.make()
    return store


def record(name: str = "x", file: str = "x.yaml") -> Record:
    return Record(id="i", name=name, dropped=Dropped(file=file), taken_at="-", session_id="s")


def drop(store: Store, name: str, text: str = "instructions: hi\n") -> Path:
    path = store.layout.root / name
    path.write_text(text)
    return path


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.is_file()}


def blocked(store: Store) -> TaskFolder:
    folder = store.task(State.BLOCKED, "x")
    folder.path.mkdir()
    for name in ("question.json", "question.md", "answer.md", "answer.txt"):
        (folder.path / name).write_text(name)
    return folder


# ---------------------------------------------------------------------------------------------- taking


@pytest.mark.parametrize(
    ("file", "inside"),
    [
        ("x.yaml", "task.yaml"),
        ("x.yml", "task.yaml"),
        ("X.YAML", "task.yaml"),
        ("x.md", "task.md"),
        ("x.markdown", "task.markdown"),
        ("x.txt", "task.txt"),
    ],
)
def test_a_taken_file_is_byte_for_byte_what_was_dropped(store: Store, file: str, inside: str) -> None:
    dropped = drop(store, file, "instructions: hi\r\n# end")
    inode = dropped.stat().st_ino
    folder = store.take(file, record(file=file))
    assert not dropped.exists()
    assert folder.find_task_file() == folder.path / inside
    assert (folder.path / inside).stat().st_ino == inode, "it was moved, not copied"
    assert folder.record() == record(file=file)


def test_taking_can_be_gone_on_with_after_a_crash_before_its_last_step(store: Store) -> None:
    dropped = drop(store, "x.yaml")
    folder = store.take("x.yaml", record())
    (folder.path / "task.yaml").rename(dropped)  # the last step has not happened
    again = store.take("x.yaml", record())
    assert again.path == folder.path
    assert again.find_task_file() is not None


def test_taking_a_file_that_went_away_raises_and_leaves_a_beginning_that_can_be_forgotten(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.take("x.yaml", record())
    assert store.layout.find("x") is State.PENDING
    store.forget("x")
    assert store.layout.find("x") is None


def test_forgetting_twice_or_half_done_is_no_trouble(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.take("x.yaml", record())
    (store.task(State.PENDING, "x").path / "record.json").unlink()
    store.forget("x")
    assert store.layout.find("x") is None


def test_forgetting_refuses_where_anything_of_a_person_lies_and_loses_nothing(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.take("x.yaml", record())
    folder = store.task(State.PENDING, "x")
    (folder.path / "notes.txt").write_text("mine")
    with pytest.raises(OSError, match="not empty"):
        store.forget("x")
    assert (folder.path / "notes.txt").read_text() == "mine"
    assert folder.record() == record(), "the record of a task that stays must stay"


def test_a_dropped_file_is_known_again_by_name_bytes_and_time(store: Store) -> None:
    path = drop(store, "x.yaml")
    first = store.describe("x.yaml")
    assert store.describe("x.yaml") == first
    os.utime(path, ns=(1, 1))
    later = store.describe("x.yaml")
    assert (later.sha256, later.mtime_ns) == (first.sha256, 1)
    path.write_text("else")
    assert store.describe("x.yaml").sha256 != first.sha256


def test_a_drop_that_cannot_be_read_is_described_all_the_same(store: Store) -> None:
    (store.layout.root / "x.yaml").symlink_to("/etc/passwd")
    assert store.describe("x.yaml").sha256 == ""


def test_a_result_of_50_megabytes_is_a_line_like_any_other(store: Store) -> None:
    folder = TaskFolder(store.layout.root)
    folder.stream(1).write_bytes(b"one\n" + b"x" * 50_000_000 + b"\ntwo\n")
    assert [len(line) for line in folder.lines(1)] == [4, 50_000_001, 4]


# ---------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("state", list(State))
def test_a_name_is_taken_in_whatever_state_its_task_is(store: Store, state: State) -> None:
    assert store.free_name("x") == "x"
    store.task(state, "x").path.mkdir()
    assert store.free_name("x") == "x-2"
    store.task(State.DONE, "x-2").path.mkdir()
    assert store.free_name("x") == "x-3"


def test_a_move_onto_a_taken_name_takes_the_next_one_and_touches_nothing(store: Store) -> None:
    for state, text in ((State.DONE, "old"), (State.RUNNING, "new")):
        store.task(state, "x").path.mkdir()
        (store.task(state, "x").path / "result.md").write_text(text)
    moved = store.move("x", State.RUNNING, State.DONE)
    assert moved.name == "x-2"
    assert (store.task(State.DONE, "x").path / "result.md").read_text() == "old"
    assert (store.task(State.DONE, "x-2").path / "result.md").read_text() == "new"
    assert store.layout.find("x") is State.DONE


def test_a_file_in_the_place_of_a_task_does_not_hold_it_up(store: Store) -> None:
    (store.layout.state(State.DONE) / "x").write_text("somebody's note")
    store.task(State.RUNNING, "x").path.mkdir()
    moved = store.move("x", State.RUNNING, State.DONE)
    assert moved.path.is_dir()
    assert (store.layout.state(State.DONE) / "x").read_text() == "somebody's note"


# ---------------------------------------------------------------------------------------------- rounds

ROUND = Next(why=Why.ANSWER, round=1, answers=("answer.md", "answer.txt"))
FILED = {"question-1.json": "question.json", "answer-1.md": "answer.md", "answer-1.txt": "answer.txt"}


def test_a_round_is_filed_under_its_number(store: Store) -> None:
    folder = blocked(store)
    folder.file_round(ROUND)
    assert content(folder.path) == FILED


def test_filing_a_round_again_changes_nothing(store: Store) -> None:
    folder = blocked(store)
    folder.file_round(ROUND)
    folder.file_round(ROUND)
    assert content(folder.path) == FILED


@pytest.mark.parametrize("done", range(4))
def test_a_round_that_was_filed_half_is_filed_to_its_end(store: Store, done: int) -> None:
    folder = blocked(store)
    steps = [("question.json", "question-1.json"), ("question.md", None), ("answer.md", "answer-1.md")]
    for name, target in steps[:done]:
        if target:
            (folder.path / name).rename(folder.path / target)
        else:
            (folder.path / name).unlink()
    folder.file_round(ROUND)
    assert content(folder.path) == FILED


def test_filing_never_replaces_what_a_person_has_named_alike(store: Store) -> None:
    folder = blocked(store)
    (folder.path / "answer-1.md").write_text("my own copy")
    folder.file_round(ROUND)
    assert content(folder.path) == FILED | {"answer-1.md": "my own copy", "answer-1-2.md": "answer.md"}


def test_without_a_round_nothing_is_filed(store: Store) -> None:
    folder = blocked(store)
    before = content(folder.path)
    folder.file_round(Next(why=Why.STOPPED))
    assert content(folder.path) == before


def test_what_is_set_aside_keeps_its_content_under_a_free_name(store: Store) -> None:
    folder = blocked(store)
    (folder.path / "late-answer-1.md").write_text("earlier")
    assert folder.set_aside(("answer.md", "answer.txt"), "late-answer") == ("late-answer-2.md", "late-answer-1.txt")
    assert (folder.path / "late-answer-1.md").read_text() == "earlier"
    assert (folder.path / "late-answer-2.md").read_text() == "answer.md"


def test_an_earlier_ending_is_kept_under_the_number_of_its_run(store: Store) -> None:
    folder = store.task(State.PENDING, "x")
    folder.path.mkdir()
    for name in ("error.md", "result.json", "result.md"):
        (folder.path / name).write_text(name)
    folder.put_away_ending(2)
    folder.put_away_ending(2)
    assert content(folder.path) == {
        "error-2.md": "error.md",
        "result-2.json": "result.json",
        "result-2.md": "result.md",
    }


# ---------------------------------------------------------------------------------------------- edits


def test_an_edit_takes_the_place_of_the_text_and_the_old_one_is_kept(store: Store) -> None:
    drop(store, "x.yaml", "instructions: one\n")
    folder = store.take("x.yaml", record())
    drop(store, "x.yaml", "instructions: two\n")
    store.take_edit("x.yaml", folder, record().but(edited=True))
    assert content(folder.path)["task.yaml"] == "instructions: two\n"
    assert content(folder.path)["task-1.yaml"] == "instructions: one\n"
    assert folder.record().edited


def test_a_cancel_file_is_removed_under_any_of_its_names(store: Store) -> None:
    folder = blocked(store)
    for name in ("cancel", "CANCEL.txt", "cancelled.md"):
        (folder.path / name).touch()
    folder.remove_cancel()
    assert {name for name in content(folder.path) if "cancel" in name.lower()} == {"cancelled.md"}


def test_our_own_temp_files_are_no_tasks_and_no_answers(store: Store) -> None:
    folder = blocked(store)
    (folder.path / ".answer.md.123.tmp").touch()
    (store.layout.root / ".x.yaml.123.tmp").touch()
    scanner = Scanner(store.layout)
    assert scanner.inbox().drops == ()
    assert folder.answers == ("answer.md", "answer.txt")


def test_a_gigabyte_without_a_line_end_is_left_out_of_a_stream(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropbox_runner.folder.taskfolder._LONGEST_LINE", 10)
    folder = TaskFolder(store.layout.root)
    folder.stream(1).write_bytes(b"one\n" + b"x" * 25 + b"\ntwo\n" + b"y" * 10 + b"\nthree\n123456789\nhalf")
    assert list(folder.lines(1)) == [b"one\n", b"two\n", b"three\n", b"123456789\n", b"half"]
    folder.stream(1).write_bytes(b"z" * 35)
    assert list(folder.lines(1)) == []


# ---------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("there", "wanted", "free"),
    [
        ("Fix", "fix", "fix-2"),
        ("FIX-2", "fix-2", "fix-2-2"),
        ("u\u0308bung", "\u00fcbung", "\u00fcbung-2"),
        ("STRASSE", "straße", "straße-2"),
        ("fix-it", "fix", "fix"),
    ],
)
@pytest.mark.parametrize("state", list(State))
def test_a_new_task_never_gets_a_name_that_another_system_takes_for_one_that_is_there(
    store: Store, state: State, there: str, wanted: str, free: str
) -> None:
    store.task(state, there).path.mkdir()
    assert store.free_name(wanted) == free


def test_a_name_is_free_again_when_its_folder_has_gone(store: Store) -> None:
    folder = store.task(State.DONE, "Fix").path
    folder.mkdir()
    assert store.free_name("fix") == "fix-2"
    folder.rename(store.layout.root / "elsewhere")
    assert store.free_name("fix") == "fix"


def test_a_file_in_the_place_of_a_tasks_folder_takes_its_name(store: Store) -> None:
    (store.layout.state(State.FAILED) / "fix").touch()
    assert store.free_name("fix") == "fix-2"


def test_names_in_a_long_history_cost_a_burst_of_drops_nothing(store: Store) -> None:
    for number in range(2000):
        store.task(State.DONE, f"old-{number}").path.mkdir()
    begin = time.process_time()
    for number in range(200):
        name = store.free_name("fix")
        store.take(drop(store, f"fix-{number}.yaml").name, record(name, f"fix-{number}.yaml"))
    assert time.process_time() - begin < 2.0


@pytest.mark.parametrize("form", ["\u00fcbung.yaml", "u\u0308bung.yaml"])
def test_a_file_is_the_same_in_whichever_form_its_name_comes(store: Store, form: str) -> None:
    drop(store, form)
    assert store.describe(form).file == "\u00fcbung.yaml"


def test_the_longest_name_that_there_can_be_is_taken(store: Store) -> None:
    file = f"{'x' * 250}.yaml"
    drop(store, file)
    folder = store.take(file, record(folder_name(file), file))
    assert folder.find_task_file() is not None
    drop(store, file, "newer")
    store.take_edit(file, folder, record(folder.name, file))
    assert content(folder.path)["task.yaml"] == "newer"


def test_a_task_that_is_moved_away_while_its_text_is_looked_for_has_no_text(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([["task.yaml"]])
    monkeypatch.setattr(TaskFolder, "_names", lambda _: next(looks, []))
    folder = TaskFolder(store.layout.root / "gone")
    assert folder.text_sha256() == ""
