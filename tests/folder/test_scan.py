"""What a look finds, and that it reads again only what has changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.states import LIVE, State
from dropbox_runner.folder import durable
from dropbox_runner.folder.layout import Layout
from dropbox_runner.folder.scan import Found, Scanner
from dropbox_runner.folder.store import Store

LONG_AGO = time.time() - 3600


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.of(tmp_path / "inbox")
    Store(layout).make()
    return layout


def put(layout: Layout, state: State, name: str, *, age: float = LONG_AGO, **more: object) -> Path:
    """Make a task's folder that was changed long ago."""
    record = Record(id=name, name=name, dropped=Dropped(file=f"{name}.yaml"), taken_at="-", session_id="s")
    folder = layout.task(state, name)
    folder.mkdir()
    (folder / "record.json").write_bytes(record.but(**more).to_json())
    (folder / "task.yaml").write_text("instructions: x\n")
    os.utime(folder, (age, age))
    return folder


def change_in_place(folder: Path, priority: int) -> None:
    """Change the record so that the folder's time does not tell: whoever sees it has read the file again."""
    file = folder / "record.json"
    text = file.read_text()
    file.write_text(text.replace('"priority": 0', f'"priority": {priority}'))
    assert file.read_text() != text


def found(scanner: Scanner) -> dict[str, Found]:
    return {one.name: one for one in scanner.tasks()}


def priority(scanner: Scanner, name: str = "x") -> int:
    record = found(scanner)[name].record
    assert record is not None
    return record.priority


def test_every_unfinished_task_is_found_where_it_lies(layout: Layout) -> None:
    for state in State:
        put(layout, state, f"in-{state}")
    assert {(one.name, one.state) for one in Scanner(layout).tasks()} == {(f"in-{state}", state) for state in LIVE}


def test_what_lies_beside_a_task_is_told(layout: Layout) -> None:
    folder = put(layout, State.BLOCKED, "x")
    for name in ("answer.txt", "answer.md", "Cancel.TXT"):
        (folder / name).touch()
    one = found(Scanner(layout))["x"]
    assert one.task_file == "task.yaml"
    assert one.answers == ("answer.md", "answer.txt")
    assert one.cancel


def test_files_hidden_folders_and_links_are_no_tasks(layout: Layout, tmp_path: Path) -> None:
    (layout.state(State.PENDING) / "note.txt").touch()
    (layout.state(State.PENDING) / ".stfolder").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (layout.state(State.PENDING) / "link").symlink_to(elsewhere)
    assert Scanner(layout).tasks() == ()


def test_a_record_that_cannot_be_read_is_told_and_hides_no_other_task(layout: Layout) -> None:
    put(layout, State.PENDING, "fine")
    (put(layout, State.PENDING, "empty") / "record.json").write_bytes(b"")
    (put(layout, State.RUNNING, "none") / "record.json").unlink()
    linked = put(layout, State.BLOCKED, "linked") / "record.json"
    linked.unlink()
    linked.symlink_to("/etc/passwd")
    tasks = found(Scanner(layout))
    assert tasks["fine"].record is not None
    assert {name: one.record for name, one in tasks.items() if name != "fine"} == dict.fromkeys(
        ("empty", "none", "linked")
    )
    assert "record.json" in tasks["empty"].trouble
    assert "running/none holds no record.json" in tasks["none"].trouble
    assert "symbolic link" in tasks["linked"].trouble


def test_a_folder_that_is_moved_away_while_it_is_read_is_not_taken_for_one_without_a_record(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(layout, State.BLOCKED, "x")

    def read(path: Path, *limit: int) -> bytes:
        folder.rename(tmp_path / "away")
        monkeypatch.undo()
        return durable.read(path, *limit)

    monkeypatch.setattr(durable, "read", read)
    scanner = Scanner(layout)
    assert scanner.tasks() == ()
    (tmp_path / "away").rename(folder)
    assert found(scanner)["x"].record is not None


def test_a_folder_whose_name_is_no_text_is_found(layout: Layout) -> None:
    os.mkdir(os.fsencode(layout.state(State.PENDING)) + b"/\xff")  # noqa: PTH102 - bytes
    assert [one.name for one in Scanner(layout).tasks()] == ["\udcff"]


def test_what_has_not_changed_is_not_read_again(layout: Layout) -> None:
    folder = put(layout, State.PENDING, "x")
    scanner = Scanner(layout)
    assert priority(scanner) == 0
    change_in_place(folder, 2)
    assert priority(scanner) == 0, "the record was read though its folder had not changed"
    assert priority(Scanner(layout)) == 2


def test_what_has_changed_is_read_again(layout: Layout) -> None:
    folder = put(layout, State.PENDING, "x")
    scanner = Scanner(layout)
    scanner.tasks()
    change_in_place(folder, 2)
    (folder / "cancel").touch()
    os.utime(folder, (LONG_AGO + 1, LONG_AGO + 1))
    assert priority(scanner) == 2
    assert found(scanner)["x"].cancel


def test_a_change_within_the_same_tick_of_the_filesystems_clock_is_seen(layout: Layout) -> None:
    just_now = time.time()
    folder = put(layout, State.PENDING, "x", age=just_now)
    scanner = Scanner(layout)
    scanner.tasks()
    change_in_place(folder, 1)
    (folder / "cancel").touch()
    os.utime(folder, (just_now, just_now))
    assert priority(scanner) == 1
    assert found(scanner)["x"].cancel


def test_another_folder_in_the_place_of_the_old_one_is_read(layout: Layout) -> None:
    folder = put(layout, State.PENDING, "x")
    scanner = Scanner(layout)
    scanner.tasks()
    folder.rename(layout.root / "away")
    put(layout, State.PENDING, "x", priority=2)
    assert priority(scanner) == 2


def test_a_task_that_moved_is_found_in_its_new_place_only(layout: Layout) -> None:
    folder = put(layout, State.PENDING, "x")
    scanner = Scanner(layout)
    scanner.tasks()
    folder.rename(layout.task(State.RUNNING, "x"))
    assert [one.state for one in scanner.tasks()] == [State.RUNNING]
    layout.task(State.RUNNING, "x").rename(layout.root / "away")
    assert scanner.tasks() == ()


def test_a_second_look_at_thousands_of_tasks_is_many_times_cheaper(layout: Layout) -> None:
    for number in range(800):
        put(layout, State.PENDING, f"task-{number}")
    scanner = Scanner(layout)

    def took() -> float:
        begin = time.process_time()
        assert len(scanner.tasks()) == 800
        return time.process_time() - begin

    first = took()
    again = min(took() for _ in range(3))
    assert again < first / 3, f"first look {first:.3f} s, second {again:.3f} s"


def test_done_and_failed_cost_nothing_however_many_there_are(layout: Layout) -> None:
    for number in range(800):
        layout.task(State.DONE, f"task-{number}").mkdir()
    # Not readable, so whoever looked into it would fail (as a user; root reads everything, so it is also taken away).
    layout.state(State.DONE).rename(layout.root / "history")
    scanner = Scanner(layout)
    assert scanner.tasks() == ()
    assert "history" not in scanner.inbox().names


def test_the_inbox_gives_all_names_and_the_drops_sorted(layout: Layout) -> None:
    for name in ("b.yaml", "a.md", ".a.md.swp", "a.draft.yaml", "STATUS.md", "x.jpg"):
        (layout.root / name).touch()
    (layout.root / "folder.yaml").mkdir()
    inbox = Scanner(layout).inbox()
    assert inbox.names == {"b.yaml", "a.md", ".a.md.swp", "a.draft.yaml", "STATUS.md", "x.jpg"}
    assert inbox.drops == ("a.md", "b.yaml")


@pytest.mark.parametrize("task", ["task.yaml", "task.yml", "task.md", "task.txt", "TASK.YAML", "Task.Md"])
def test_a_folder_with_a_tasks_file_in_it_is_a_drop(layout: Layout, task: str) -> None:
    (layout.root / "report").mkdir()
    (layout.root / "report" / task).touch()
    assert Scanner(layout).inbox().drops == (f"report/{task}",)


@pytest.mark.parametrize("name", [".hidden", "__MACOSX", "$RECYCLE.BIN", "report.draft", "README", "lost+found"])
def test_folders_of_programs_and_drafts_are_no_drops(layout: Layout, name: str) -> None:
    (layout.root / name).mkdir()
    (layout.root / name / "task.yaml").touch()
    inbox = Scanner(layout).inbox()
    assert inbox.drops == ()
    assert inbox.left_alone == ()


def test_what_may_have_been_meant_for_a_task_is_told_with_what_to_do(layout: Layout, tmp_path: Path) -> None:
    (layout.root / "photo.jpg").touch()
    (layout.root / "x.sync-conflict-20261122-063840-2BBAXIU.yaml").touch()
    (layout.root / "photos").mkdir()
    (layout.root / "x (conflicted copy 2026-01-01 120000)").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "task.yaml").touch()
    (layout.root / "linked").symlink_to(elsewhere)
    inbox = Scanner(layout).inbox()
    assert inbox.drops == (), "a link is never followed"
    left = {one.name: one.reason for one in inbox.left_alone}
    assert "must end in .yaml" in left.pop("photo.jpg")
    assert "must end in .yaml" in left.pop("linked")
    assert "without a task.yaml" in left.pop("photos")
    assert len(left) == 2
    assert all("sync tool" in reason and "delete it" in reason for reason in left.values())


ANSWERS = {
    "answer.sync-conflict-20261122-063840-2BBAXIU.md": "sync tool",
    "answer (conflicted copy 2026-01-01 120000).md": "sync tool",
    "answer (1).md": "call it answer.md",
    "answer.md.txt": "call it answer.md",
    "answer2.md": "call it answer.md",
    "answers.md": "call it answer.md",
    "Answer .md": "call it answer.md",
    "~answer.md": "",
    ".answer.md.swp": "",
    ".syncthing.answer.md.tmp": "",
    ".answer.md.Ab3dEf": "",
    ".#answer.md": "",
    ".~lock.answer.md#": "",
    "answer.md~": "",
    "answer.md.part": "",
    "answer.md.bak": "",
    "answer.md.hTxYzQ": "",
    "answer.draft.md": "",
    "answer-1.md": "call it answer.md",
    "._answer.md": "",
    ".pending-1763800000-answer.md": "",
}


@pytest.mark.parametrize(("name", "told"), ANSWERS.items())
def test_a_name_beside_an_answer_is_no_answer_and_what_may_have_been_meant_is_told(
    layout: Layout, name: str, told: str
) -> None:
    (put(layout, State.BLOCKED, "x") / name).touch()
    one = found(Scanner(layout))["x"]
    assert one.answers == ()
    assert [left.name for left in one.left_alone] == ([f"blocked/x/{name}"] if told else [])
    assert all(told in left.reason for left in one.left_alone)


def test_an_answer_of_an_earlier_round_is_told_apart_from_one_that_was_named_like_it(layout: Layout) -> None:
    folder = put(layout, State.BLOCKED, "x", rounds=2)
    for name in ("answer-1.md", "answer-2-2.txt", "answer-3.md"):
        (folder / name).touch()
    assert [left.name for left in found(Scanner(layout))["x"].left_alone] == ["blocked/x/answer-3.md"]


@pytest.mark.parametrize("name", ["Answer.MD", "ANSWER.TXT", "Answer", "answer.Yaml"])
def test_an_answer_may_be_written_in_capitals(layout: Layout, name: str) -> None:
    (put(layout, State.BLOCKED, "x") / name).touch()
    assert found(Scanner(layout))["x"].answers == (name,)


def test_a_tasks_file_may_be_written_in_capitals(layout: Layout) -> None:
    folder = put(layout, State.PENDING, "x")
    (folder / "task.yaml").rename(folder / "TASK.YAML")
    assert found(Scanner(layout))["x"].task_file == "TASK.YAML"


def test_what_was_dropped_among_the_tasks_folders_is_told(layout: Layout) -> None:
    for place in ("pending/fix.yaml", "blocked/answer.md", "running/cancel", "blocked/.answer.md.swp", "done/notes.md"):
        (layout.root / place).touch()
    scanner = Scanner(layout)
    for _ in range(2):
        scanner.tasks()
        assert sorted(one.name for one in scanner.loose) == ["blocked/answer.md", "pending/fix.yaml", "running/cancel"]


def test_a_conflict_copy_beside_a_task_is_told_in_whatever_state(layout: Layout) -> None:
    for state in LIVE:
        folder = put(layout, state, f"in-{state}")
        (folder / "record.sync-conflict-20261122-063840-2BBAXIU.json").touch()
    left = [left.name for one in Scanner(layout).tasks() for left in one.left_alone]
    assert sorted(left) == sorted(
        f"{state}/in-{state}/record.sync-conflict-20261122-063840-2BBAXIU.json" for state in LIVE
    )
