"""Two real Syncthings: a phone, and the server whose folder the daemon watches."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from editors import EDITORS
from harness import World, alive, wait_until
from syncthing import Device, Pair
from user import (
    QUESTION,
    assert_answered_once_and_whole,
    assert_kept_beside_its_task_and_told,
    assert_taken_once_and_whole,
    files_that_hold,
    let_the_settle_time_pass,
    let_what_follows_follow,
    needs,
    tasks_of,
    wait_until_done,
    wait_until_status_says,
)

pytestmark = pytest.mark.tools("syncthing")

SETTLE = 1.0
PATIENCE = 60.0
"""Seconds. Syncthing gathers changes before it sends them."""


@pytest.fixture(scope="module")
def pair(inbox: World) -> Iterator[Pair]:
    """Two devices; on the phone there is the .stignore that the docs recommend."""
    devices = {}
    for name, folder in (("phone", inbox.base / "phone"), ("server", inbox.root)):
        folder.mkdir(exist_ok=True)
        (home := inbox.base / f"syncthing-{name}").mkdir()
        devices[name] = Device(home, folder, inbox.environment)
    page = (Path(__file__).parents[2] / "docs/sync/syncthing.md").read_text()
    [patterns] = re.findall(r"^<!-- stignore -->\n```\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (devices["phone"].folder / ".stignore").write_text(patterns)
    pair = Pair(devices["phone"], devices["server"])
    yield pair
    pair.stop()


@pytest.fixture
def phone(pair: Pair) -> Path:
    """The folder as the phone has it."""
    return pair.phone.folder


def synced(path: Path) -> Path:
    """Wait until the other side has it."""
    wait_until(path.exists, lambda: f"{path} never came", patience=PATIENCE)
    return path


def text_of(path: Path) -> str:
    """What stands in it; nothing in the moment in which Syncthing puts a newer one in its place."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def gone(path: Path) -> None:
    """Wait until the other side has removed it."""
    wait_until(lambda: not path.exists(), lambda: f"{path} never went", patience=PATIENCE)


def drop(world: World, phone: Path, name: str, state: str) -> Path:
    """Drop a task on the phone; wait until the phone shows it in this state, and return its folder there."""
    (phone / f"{name}.md").write_text(f"Work on {name}.\n")
    wait_until(lambda: world.where(name) == state, lambda: world.story(name), patience=PATIENCE)
    folder = phone / state / name
    for file in (world.root / state / name).iterdir():
        if not file.match("run-*") and not file.match(".*"):
            synced(folder / file.name)
    return folder


def test_the_whole_story_from_a_phone_which_never_gets_the_logs(inbox: World, phone: Path) -> None:
    inbox.teach(
        "Work on story.",
        [{"ask": {"text": QUESTION}}],
        [{"write": {"path": "box.txt", "text": "a box"}}, {"say": "It is painted."}],
    )
    (phone / "story.md").write_text("Work on story.\n")
    assert QUESTION in synced(phone / "blocked/story/question.md").read_text()
    (phone / "blocked/story/answer.md").write_text("Red.\n")
    assert synced(phone / "done/story/result.md").read_text().startswith("It is painted.\n")
    assert synced(phone / "done/story/work/box.txt").read_text() == "a box"
    assert "story" in (phone / "STATUS.md").read_text()
    for state in ("blocked", "pending", "running"):
        gone(phone / state / "story")
    assert_answered_once_and_whole(inbox, "story", "Red.\n")
    logs = ["run-1.jsonl", "run-1.stderr", "run-2.jsonl", "run-2.stderr"]
    assert {name for name in logs if (phone / "done/story" / name).exists()} == set()
    assert {name for name in logs if (inbox.root / "done/story" / name).exists()} == set(logs)


def test_an_answer_that_ends_with_a_lone_dot_does_not_wait_for_the_settle_time(inbox: World, phone: Path) -> None:
    inbox.teach("Work on dot.", [{"ask": {"text": QUESTION}}], [{"say": "Done."}])
    (drop(inbox, phone, "dot", "blocked") / "answer.md").write_text("Red.\n.\n")
    assert_answered_once_and_whole(inbox, "dot", "Red.\n.\n")


def test_a_large_task_over_a_bad_connection_is_taken_whole(inbox: World, pair: Pair, phone: Path) -> None:
    text = "Work on large.\n" + "A line of a text of some length.\n" * 28_000
    temporary = inbox.root / ".syncthing.large.md.tmp"
    with pair.slow(kib_per_second=250):
        (phone / "large.md").write_text(text)
        # It is really underway for longer than the settle time.
        synced(temporary)
        let_the_settle_time_pass(inbox)
        assert temporary.exists() or (inbox.root / "large.md").exists()
        assert_taken_once_and_whole(inbox, "large", text)


def test_an_editor_on_another_machine_holds_an_answer_by_its_lock(inbox: World, phone: Path) -> None:
    needs("vim", "tmux")
    inbox.teach("Work on remote.", [{"ask": {"text": QUESTION}}], [{"say": "Done."}])
    path = drop(inbox, phone, "remote", "blocked") / "answer.md"
    window = EDITORS[0].open(inbox, path)
    synced(inbox.root / "blocked/remote/.answer.md.swp")
    window.write("Red, I think.\n")
    window.save("Red, I think.")
    synced(inbox.root / "blocked/remote/answer.md")
    let_the_settle_time_pass(inbox)
    assert inbox.where("remote") == "blocked"
    wait_until_status_says(inbox, "remote", "vim", "still has it open")
    window.write("No: dark red.\n")
    window.save("No: dark red.")
    text = path.read_text()
    wait_until(lambda: text_of(inbox.root / "blocked/remote/answer.md") == text, "it never came", PATIENCE)
    window.quit()
    assert_answered_once_and_whole(inbox, "remote", text)


# ----------------------------------------------------------------------------------- both sides at the same time


def conflict(inbox: World, pair: Pair, file: str, texts: tuple[str, str]) -> Path:
    """Write a file on both sides while they do not see each other; return the copy that Syncthing makes of one of them.

    On the server an editor has it open all the time, so it is not taken meanwhile; its lock is left.
    """
    path = inbox.root / file
    lock, copies = path.with_name(f".{path.name}.swp"), f"{file.removesuffix('.md')}.sync-conflict-*.md"
    with pair.apart():
        lock.touch()
        path.write_text(texts[0])
        (pair.phone.folder / file).write_text(texts[1])
    wait_until(
        lambda: list(inbox.root.glob(copies)) and list(pair.phone.folder.glob(copies)),
        "there is no conflict",
        PATIENCE,
    )
    [copy] = inbox.root.glob(copies)
    assert {copy.read_text(), path.read_text()} == set(texts)
    return copy


def test_of_a_task_that_was_written_on_both_sides_one_text_is_run_and_the_other_is_kept(
    inbox: World, pair: Pair, phone: Path
) -> None:
    copy = conflict(inbox, pair, "both.md", ("Work on both.\nHere.\n", "Work on both.\nThere.\n"))
    kept, text = copy.read_text(), (inbox.root / "both.md").read_text()
    (inbox.root / ".both.md.swp").unlink()
    assert_taken_once_and_whole(inbox, "both", text)
    assert copy.read_text() == kept
    assert (phone / copy.name).read_text() == kept


def test_of_an_answer_that_was_written_on_both_sides_one_text_is_taken_and_the_other_is_kept(
    inbox: World, pair: Pair, phone: Path
) -> None:
    inbox.teach("Work on answers.", [{"ask": {"text": QUESTION}}], [{"say": "Done."}])
    drop(inbox, phone, "answers", "blocked")
    copy = conflict(inbox, pair, "blocked/answers/answer.md", ("Red.\n", "Blue.\n"))
    kept, text = copy.read_text(), (copy.parent / "answer.md").read_text()
    (copy.parent / ".answer.md.swp").unlink()
    folder = wait_until_done(inbox, "answers")
    assert (folder / "answer-1.md").read_text() == text
    assert (folder / copy.name).read_text() == kept
    [_, call] = inbox.calls("Work on answers.")
    assert kept.strip() not in call["prompt"]
    assert synced(phone / "done/answers" / copy.name).read_text() == kept


def test_the_copy_that_a_conflict_leaves_is_listed(inbox: World, pair: Pair) -> None:
    copy = conflict(inbox, pair, "listed.md", ("Work on listed.\nHere.\n", "Work on listed.\nThere.\n"))
    (inbox.root / ".listed.md.swp").unlink()
    wait_until_status_says(inbox, copy.name)


def test_a_task_that_is_edited_on_the_phone_when_the_server_has_just_taken_it_is_no_second_task(
    inbox: World, pair: Pair, phone: Path
) -> None:
    go_on = inbox.base / "go-on-edit"
    inbox.teach("Work on edit.", [{"wait_for": str(go_on)}, {"say": "Done."}], [{"say": "Changed."}])
    (phone / "edit.md").write_text("Work on edit.\n")
    synced(inbox.root / "edit.md")
    with pair.apart():
        folder = inbox.wait_for("edit", "running")
        assert (phone / "edit.md").exists(), "the phone knows already that it was taken"
        (phone / "edit.md").write_text("Work on edit.\nPaint it red.\n")
    wait_until((folder / "task-1.md").exists, lambda: inbox.story("edit"), PATIENCE)
    go_on.touch()
    assert (wait_until_done(inbox, "edit") / "task-1.md").read_text() == "Work on edit.\n"
    first, second = inbox.calls("Work on edit.")
    assert (first["resume"], second["resume"]) == (False, True)
    assert "Paint it red." in second["prompt"]
    assert len(tasks_of(inbox, "edit")) == 1
    gone(phone / "edit.md")


def test_an_answer_from_the_phone_to_a_task_that_is_done_meanwhile_is_kept_and_told(
    inbox: World, pair: Pair, phone: Path
) -> None:
    inbox.teach("Work on late.", [{"ask": {"text": QUESTION}}], [{"say": "Done."}])
    folder = drop(inbox, phone, "late", "blocked")
    with pair.apart():
        inbox.answer("late", "Red.\n")
        wait_until_done(inbox, "late")
        (folder / "answer.md").write_text("Blue, from the phone.\n")
    wait_until(lambda: files_that_hold(inbox.root, "from the phone"), "it never came", PATIENCE)
    assert_kept_beside_its_task_and_told(inbox, "late", "from the phone")


# ------------------------------------------------------------------------------------------- folders moved on the phone


def test_a_task_that_is_deleted_on_the_phone_while_it_runs_is_ended(inbox: World, phone: Path) -> None:
    inbox.teach("Work on deleted.", [{"wait_for": "/nowhere"}])
    folder = drop(inbox, phone, "deleted", "running")
    pid = inbox.agent_pid("deleted")
    shutil.rmtree(folder)
    wait_until(lambda: not alive(pid), lambda: inbox.story("deleted"), PATIENCE)
    let_the_settle_time_pass(inbox)
    assert inbox.where("deleted") in (None, "failed")
    assert len(inbox.calls("Work on deleted.")) == 1


def test_a_task_that_is_deleted_on_the_phone_while_it_waits_is_not_run_again(inbox: World, phone: Path) -> None:
    inbox.teach("Work on unwanted.", [{"ask": {"text": QUESTION}}])
    shutil.rmtree(drop(inbox, phone, "unwanted", "blocked"))
    wait_until(lambda: inbox.where("unwanted") in (None, "failed"), lambda: inbox.story("unwanted"), PATIENCE)
    let_the_settle_time_pass(inbox)
    assert inbox.where("unwanted") in (None, "failed")
    assert len(inbox.calls("Work on unwanted.")) == 1


def test_a_failed_task_that_is_moved_to_pending_on_the_phone_goes_on_in_its_session(inbox: World, phone: Path) -> None:
    inbox.teach(
        "Work on again.",
        [
            {"write": {"path": "box.txt", "text": "half a box"}},
            {"api_error": {"status": 400, "text": "API Error: 400"}},
        ],
        [{"bash": "cat box.txt"}, {"say": "It is painted."}],
    )
    folder = drop(inbox, phone, "again", "failed")
    synced(folder / "work/box.txt")
    folder.rename(phone / "pending/again")
    assert synced(phone / "done/again/result.md").read_text().startswith("It is painted.\n")
    assert [call["resume"] for call in inbox.calls("Work on again.")] == [False, True]
    assert "half a box" in (inbox.root / "done/again/run-2.jsonl").read_text(), "its work stayed behind"


def test_a_blocked_task_that_is_moved_to_pending_on_the_phone_does_not_become_a_failed_one_as_well(
    inbox: World, phone: Path
) -> None:
    """The logs, which the phone has never had, stay where they were."""
    inbox.teach("Work on moved.", [{"ask": {"text": QUESTION}}], [{"say": "Done."}])
    drop(inbox, phone, "moved", "blocked").rename(phone / "pending/moved")
    wait_until(lambda: len(inbox.calls("Work on moved.")) == 2, lambda: inbox.story("moved"), PATIENCE)
    let_the_settle_time_pass(inbox)
    assert not (inbox.root / "failed/moved/error.md").exists()


@pytest.mark.parametrize(
    "order", [("record", "task", "work"), ("task", "record", "work"), ("work", "task", "record")], ids="-".join
)
def test_a_task_that_was_moved_to_pending_on_the_phone_may_arrive_file_by_file(
    inbox: World, order: tuple[str, ...]
) -> None:
    """What Syncthing does: in an order of its own, and over a bad connection it takes a while."""
    name = f"{order[0]}-first"
    failure = {"api_error": {"status": 400, "text": "API Error: 400"}}
    inbox.teach(
        f"Work on {name}.",
        [{"write": {"path": "box.txt", "text": "half a box"}}, failure],
        [{"bash": "cat box.txt"}, {"say": "It is painted."}],
    )
    inbox.move_in(f"{name}.md", f"Work on {name}.\n")
    old, new = inbox.wait_for(name, "failed"), inbox.root / "pending" / name
    files = {"record": "record.json", "task": "task.md", "work": "work/box.txt"}
    for file in [files[one] for one in order]:
        (path := new / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(old / file, temporary := path.with_name(f".syncthing.{path.name}.tmp"))
        temporary.rename(path)
        let_what_follows_follow(inbox)
    shutil.rmtree(old)
    wait_until(lambda: len(inbox.calls(f"Work on {name}.")) == 2, lambda: inbox.story(name))
    inbox.wait_for(name, "done")
    assert tasks_of(inbox, name) == [inbox.root / "done" / name]
    assert "half a box" in (inbox.root / "done" / name / "run-2.jsonl").read_text(), "it began without its work"
