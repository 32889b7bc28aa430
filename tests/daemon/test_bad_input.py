"""What people, programs and machines do wrong: one clear line each, nothing lost, and it goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from pathlib import Path

import pytest
from harness import Daemon, World, wait_until, without_root_rights

from dropbox_runner.standin.wrapper import write_wrapper

pytestmark = pytest.mark.slow


def lines_about(daemon: Daemon, text: str) -> list[str]:
    return [line for line in daemon.log.splitlines() if text in line]


# ---------------------------------------------------------------------------------------------- claude


def test_without_claude_the_task_waits_one_line_says_so_and_it_goes_on_once_claude_is_there(world: World) -> None:
    world.settings(poll="0.2s")
    later = world.base / "later-claude"
    daemon = world.start(claude=later)
    world.move_in("x.yaml")
    daemon.wait_for_log("was not found")
    world.move_in("y.yaml")
    world.wait_for("y", "pending")
    assert world.where("x") == "pending"
    assert len(lines_about(daemon, "nothing new is started: the claude command")) == 1
    assert "--claude" in daemon.log
    status = json.loads(world.run("status", "--json").stdout)
    assert "was not found" in {row["name"]: row["text"] for row in status["pending"]}["x"]
    write_wrapper(later, world.base / "scenario.json", world.state_dir)
    world.wait_for("x", "done")
    world.wait_for("y", "done")
    assert [call["resume"] for call in world.calls()] == [False, False]


def test_a_claude_that_cannot_be_executed_costs_no_task_and_no_processor(world: World) -> None:
    broken = world.base / "broken-claude"
    broken.write_bytes(b"\x7fELF is not all it takes")
    broken.chmod(0o755)
    daemon = world.start(claude=broken)
    world.move_in("x.yaml")
    daemon.wait_for_log("could not be started")
    wait_until(lambda: world.where("x") == "pending", lambda: world.story("x"))
    write_wrapper(broken, world.base / "scenario.json", world.state_dir)
    world.wait_for("x", "done")
    assert len(lines_about(daemon, "could not be started")) == 1
    assert [call["resume"] for call in world.calls()] == [False]


def test_trouble_with_a_task_that_is_gone_does_not_keep_the_daemon_busy(world: World) -> None:
    broken = world.base / "broken-claude"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    daemon = world.start(claude=broken)
    world.move_in("x.yaml")
    daemon.wait_for_log("could not be started")
    world.wait_for("x", "pending").rename(world.base / "away")
    # Past the time of the next try, which never comes.
    ticks, window = daemon.cpu_ticks(), 2.0
    end = time.monotonic() + window
    wait_until(lambda: time.monotonic() > end, "")
    assert daemon.cpu_ticks() - ticks < 50, "it looks again and again at nothing"


# ---------------------------------------------------------------------------------------------- tasks


REJECTED = {
    "typo.yaml": (b"promt: hello\n", ["typo.yaml:1:1", "did you mean `prompt`?"]),
    "unknown.yaml": (b"instructions: x\nmodle: opus\n", ["unknown.yaml:2:1", "did you mean `model`?"]),
    "nowhere.yaml": (b"instructions: x\nworking_dir: /no/such/folder\n", ["there is no folder /no/such/folder"]),
    "no-file.yaml": (b"instructions: x\ncontext_files: [/no/such/file]\n", ["there is no /no/such/file"]),
    "list.yaml": (b"- a\n- b\n", ["list.yaml"]),
    "broken.yaml": (b"instructions: [\n", ["broken.yaml"]),
    "twice.yaml": (b"instructions: a\ninstructions: b\n", ["twice.yaml:2"]),
    "blank.yaml": (b"   \n\n", ["the file is empty"]),
    "only-model.yaml": (b"model: opus\n", ["there are no instructions"]),
    "utf16.yaml": ("instructions: x\n".encode("utf-16"), ["UTF-16"]),
    "latin.yaml": (b"instructions: gr\xfc\xdfe\n", ["not UTF-8", "Latin-1"]),
    "binary.yaml": (bytes(range(256)) * 8, ["binary.yaml"]),
    "large.yaml": (
        b"instructions: " + b"x" * (2 << 20),
        ["large.yaml: the file is larger than 1,048,576 bytes", "put what is long into files of its own"],
    ),
    "bomb.yaml": (
        b"a: &a [x,x]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (98 + n, 98 + n, 97 + n, 97 + n) for n in range(20)),
        ["bomb.yaml"],
    ),
    "forbidden.yaml": (b"instructions: x\nadditional_args: [--resume=abc]\n", ["--resume", "not allowed"]),
}


def test_what_is_no_task_lies_in_failed_with_the_reason_and_its_text_unchanged(shared: World) -> None:
    for name, (content, _) in REJECTED.items():
        shared.move_in(name, content)
    (shared.base / "link").symlink_to("/etc/passwd")
    (shared.base / "link").rename(shared.root / "link.yaml")
    shared.move_in("fine.yaml", "instructions: job fine\n")
    shared.wait_for("fine", "done")
    for name, (content, says) in REJECTED.items():
        task = name.removesuffix(".yaml")
        folder = shared.wait_for(task, "failed")
        error = (folder / "error.md").read_text()
        for part in says:
            assert part in error, f"{name}: {error}"
        assert (folder / "task.yaml").read_bytes() == content
        assert json.loads((folder / "result.json").read_bytes())["verdict"] == "rejected"
        assert len(lines_about(shared.daemon, f"{task}: pending → failed")) == 1
    folder = shared.wait_for("link", "failed")
    assert "root:" not in (folder / "error.md").read_text()
    assert os.readlink(folder / "task.yaml") == "/etc/passwd"  # noqa: PTH115 - as it is
    assert len(shared.calls("job fine")) == 1


def test_an_edit_that_may_not_be_run_does_not_take_the_place_of_what_runs(shared: World) -> None:
    shared.teach("task steady!", [{"write_question": "Go on?"}], [{"say": "Done."}])
    shared.move_in("steady.yaml", "instructions: task steady!\n")
    shared.wait_for("steady", "blocked")
    shared.move_in("steady.yaml", "instructions: task steady!\nworking_dir: not/a/whole/path\n")
    error = (shared.wait_for("steady-2", "failed") / "error.md").read_text()
    assert "`working_dir` holds no whole path" in error
    shared.answer("steady", "yes\n.\n")
    shared.wait_for("steady", "done")
    assert "edited" not in shared.calls("task steady!")[1]["prompt"]


def test_an_empty_file_is_said_once_and_runs_when_something_is_written_into_it(shared: World) -> None:
    path = shared.drop("nothing.yaml", "")
    shared.daemon.wait_for_log("nothing.yaml: it is empty")
    shared.move_in("something.yaml")
    shared.wait_for("something", "done")
    assert len(lines_about(shared.daemon, "nothing.yaml: it is empty")) == 1
    path.write_text("instructions: now\n")
    shared.wait_for("nothing", "done")


def test_odd_names_are_taken_and_fake_no_log_lines(world: World, daemon: Daemon) -> None:
    odd = [
        "a\n12:00:00 fake: done.yaml",
        "esc\x1b[2J.yaml",
        "-rf.yaml",
        "%s %d.yaml",
        "'q\" $(id).yaml",
        "ü — 日本.yaml",
        "\u202egpj.yaml",
        f"{'x' * 250}.yaml",
        *("fix it.yaml", "fix-it.yaml", "fix-it.md"),
    ]
    for name in odd:
        world.move_in(name, "instructions: odd\n")
    outside = world.base / "outside"
    outside.write_text("instructions: odd\n")
    os.rename(outside, os.fsencode(world.root) + b"/\xff\xfe.yaml")  # noqa: PTH104 - bytes
    wait_until(lambda: len(list((world.root / "done").iterdir())) == len(odd) + 1, lambda: world.story("rf"))
    names = {path.name for path in (world.root / "done").iterdir()}
    alike = {"fix-it", "fix-it-2", "fix-it-3"}
    assert names == {"a-12-00-00-fake-done", "esc-2J", "rf", "s-d", "q-id", "ü-日本", "gpj", "x" * 100, "task"} | alike
    assert not {"\x1b", "\u202e"} & set(daemon.log)
    assert not [line for line in daemon.log.splitlines() if line.startswith("12:00:00 fake")]


def test_a_pipe_with_the_name_of_a_task_stops_nothing(shared: World) -> None:
    os.mkfifo(shared.root / "a-pipe.yaml")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(shared.root / "a-socket.yaml"))
    shared.move_in("plain.yaml")
    shared.wait_for("plain", "done")
    for name in ("a-pipe", "a-socket"):
        assert "is not a plain file" in (shared.wait_for(name, "failed") / "error.md").read_text()


def test_a_folder_without_a_record_is_put_aside_with_everything_in_it(shared: World) -> None:
    for state, text in (("pending", b"{"), ("blocked", b"\0" * 100)):
        outside = shared.base / f"odd-{state}"
        outside.mkdir()
        (outside / "record.json").write_bytes(text)
        (outside / "mine.txt").write_text("mine\n")
        outside.rename(shared.root / state / f"odd-{state}")
    for name in ("odd-pending", "odd-blocked"):
        folder = shared.wait_for(name, "failed")
        assert "record.json" in (folder / "error.md").read_text()
        assert (folder / "mine.txt").read_text() == "mine\n"


# ---------------------------------------------------------------------------------------------- questions and answers


NONSENSE: dict[str, tuple[dict[str, str], str]] = {
    "text": ({"write_question": "not json at all, but a question?"}, "> not json at all, but a question?"),
    "other-json": ({"write_question": '{"color": "red"}'}, '{"color": "red"}'),
    "half-json": ({"write_question": '{"text": "cut off'}, "cut off"),
    "empty": ({"write_question": ""}, "left an empty question file"),
    "bytes": ({"write_question_bytes": "AAECA//+gIE="}, "claude asks"),
}


def test_a_nonsense_question_is_shown_as_it_is_and_can_be_answered(world: World) -> None:
    world.play(rules={f"leave {name}.": [[left], [{"say": "Done."}]] for name, (left, _) in NONSENSE.items()})
    world.start("--max-parallel", "3")
    for name in NONSENSE:
        world.move_in(f"{name}.txt", f"leave {name}.\n")
    for name, (_, shown) in NONSENSE.items():
        folder = world.wait_for_question(name)
        assert shown in (folder / "question.md").read_text()
        json.loads((folder / "question.json").read_bytes())
        world.answer(name, "go on\n")
    for name in NONSENSE:
        world.wait_for(name, "done")
        assert "go on" in world.calls(f"leave {name}.")[1]["prompt"]


def test_an_empty_answer_is_no_answer_and_that_is_said_once(shared: World) -> None:
    shared.teach("job wonders", [{"ask": {"text": "Well?"}}], [{"say": "Done."}])
    for name in ("one", "two"):
        shared.move_in(f"{name}.txt", "job wonders\n")
        shared.wait_for_question(name)
    (shared.path("one") / "answer.md").touch()
    (shared.path("two") / "answer.txt").write_text("  \n\n")
    shared.daemon.wait_for_log("one: answer.md: the answer is empty")
    shared.daemon.wait_for_log("two: answer.txt: the answer is empty")
    (shared.path("two") / "answer.txt").write_text("yes\n")
    shared.wait_for("two", "done")
    assert shared.where("one") == "blocked"
    assert len(lines_about(shared.daemon, "one: answer.md")) == 1
    assert len(lines_about(shared.daemon, "two: answer.txt")) == 1
    (shared.path("one") / "answer.md").write_text("yes\n")
    shared.wait_for("one", "done")


# ---------------------------------------------------------------------------------------------- folders


def test_a_second_daemon_on_the_folder_ends_with_75_and_names_the_first(shared: World) -> None:
    first = shared.daemon.pid
    second = shared.launch()
    assert second.wait() == 75
    assert second.log.count("\n") == 1
    assert f"pid {first}" in second.log
    shared.move_in("after.yaml")
    shared.wait_for("after", "done")


def test_the_folder_is_the_same_by_whatever_path_it_is_named(shared: World) -> None:
    (shared.base / "link").symlink_to(shared.root)
    done = shared.run("run", f"{shared.base}/link/../inbox/.", "--allow-root")
    assert done.returncode == 75, done.stderr


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="as root this needs setpriv")
def test_an_unreadable_inbox_is_refused_in_one_line(world: World) -> None:
    world.root.chmod(0)
    daemon = world.launch(prefix=without_root_rights())
    code = daemon.wait()
    world.root.chmod(0o700)
    assert code == 78
    assert daemon.log.count("\n") == 1
    assert f"chmod u+rwx {world.root}" in daemon.log


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="as root this needs setpriv")
@pytest.mark.parametrize("part", ["pending", "blocked/asks"])
def test_a_folder_that_becomes_unreadable_is_said_once_and_gone_on_with_later(world: World, part: str) -> None:
    world.settings(poll="0.2s")
    world.play([{"say": "Done."}], rules={"wonder": [[{"ask": {"text": "Well?"}}], [{"say": "Answered."}]]})
    daemon = world.start(prefix=without_root_rights())
    world.move_in("asks.txt", "wonder\n")
    world.wait_for_question("asks")
    (world.root / part).chmod(0)
    try:
        daemon.wait_for_log("cannot be read")
        if part != "pending":
            # One task's trouble must not stop the others.
            world.move_in("other.txt", "work\n")
            world.wait_for("other", "done")
        assert daemon.process.poll() is None
        assert len(lines_about(daemon, "cannot be read")) == 1
    finally:
        (world.root / part).chmod(0o700)
    world.answer("asks", "yes\n")
    world.wait_for("asks", "done")


def test_without_being_told_so_it_does_not_run_as_root(world: World) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can see that")
    done = world.run("run", str(world.root))
    assert done.returncode == 78
    assert "--allow-root" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_of_another_machine_is_refused_until_told(world: World) -> None:
    owner = world.root / ".dropbox-runner" / "owner.json"
    owner.write_text(json.dumps({"id": "other", "host": "laptop", "path": "/home/me/inbox"}))
    world.move_in("x.yaml")
    daemon = world.launch()
    assert daemon.wait() == 78
    assert "laptop" in daemon.log
    assert (world.root / "x.yaml").exists()
    world.start("--take-over")
    world.wait_for("x", "done")


def test_states_on_the_way_out_are_made_again_and_nothing_is_reported_that_is_not(world: World, daemon: Daemon) -> None:
    (world.root / "done").rmdir()
    world.move_in("x.yaml")
    wait_until(lambda: world.where("x") in ("running", "done"), lambda: world.story("x"))
    (world.root / "done").mkdir(exist_ok=True)
    world.wait_for("x", "done")
    assert len(world.calls()) == 1


def test_settings_that_nobody_meant_are_refused(world: World) -> None:
    world.settings(max_paralel=2)
    daemon = world.launch()
    assert daemon.wait() == 78
    assert "did you mean `max_parallel`?" in daemon.log
    assert Path(world.config).name in daemon.log


def test_a_file_that_is_refused_at_once_is_told_on_the_page(world: World, daemon: Daemon) -> None:
    world.move_in("bad.yaml", "promt: work\n")
    world.wait_for("bad", "failed")

    def told() -> bool:
        return "- bad: rejected: bad.yaml:1:1: " in (world.root / "STATUS.md").read_text()

    wait_until(told, (world.root / "STATUS.md").read_text)
