"""`dropbox-runner demo` as somebody runs it who has only just installed it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from dropbox_runner.demo import stage as stage_module
from dropbox_runner.demo.stage import DemoError, InterruptedDemoError, samples, stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

STORY = """\
No Claude is involved in this demo.
1. A folder becomes an inbox
$ dropbox-runner init inbox
$ dropbox-runner run inbox
2. The smallest task
$ cp sample_inbox/hello.yaml inbox/
instructions: Write a haiku about folders into haiku.txt.
hello: pending → running
hello: running → done
done/hello/result.md:
The haiku is in haiku.txt.
done/hello/work/haiku.txt:
knows where it has been.
3. A task with mistakes
broken: pending → failed
failed/broken/error.md:
broken.yaml:3:1: there is no field `workingdir`
→ did you mean `working_dir`?
broken.yaml:4:10: `timeout` cannot be used: `30` has no unit
4. A task with a question
choose-database: pending → running
choose-database: running → blocked
blocked/choose-database/question.md:
Which database should the shop use?
2. SQLite: nothing to run, but one server only
5. Other tasks do not wait for your answer
$ cp sample_inbox/release-notes.md inbox/
$ cp sample_inbox/site.yaml inbox/
In ~/dropbox-runner-demo-site/ there are now index.html and style.css.
6. You answer by writing a file
blocked/choose-database/answer.md:
SQLite. One server is all we have, and I like a backup that is one file.
choose-database: blocked → pending → running
choose-database: running → done
done/choose-database/work/decision.md:
> SQLite. One server is all we have, and I like a backup that is one file.
What the folder holds now
pending/  (empty)
done/     choose-database/  task.yaml answer-1.md result.md
failed/   broken/           task.yaml error.md
Your turn, with the real Claude
$ pip install 'dropbox-runner[claude]'
$ dropbox-runner init ~/inbox
$ dropbox-runner run ~/inbox
Once more: no Claude was involved
""".splitlines()


def poll(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


class Demo:
    """One demo in a home that is empty, with a folder for temporary files of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.home = folder / "home"
        self.temp = folder / "temp"
        for made in (self.home, self.temp):
            made.mkdir()
        self._output = folder / "stdout"
        self._errors = folder / "stderr"
        # As bare as it can be: no PATH that leads to dropbox-runner, and a working directory that holds nothing.
        environment = {"HOME": str(self.home), "TMPDIR": str(self.temp), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        begun = time.monotonic()
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dropbox_runner", "demo", *options],
                cwd=self.home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        self._begun = begun
        self.took = 0.0

    @property
    def text(self) -> str:
        return self._output.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def end(self) -> int:
        code = self.process.wait(60)
        self.took = time.monotonic() - self._begun
        return code

    def until_it_says(self, line: str) -> None:
        def said() -> bool:
            assert self.process.poll() is None or line in self.text, self.errors
            return line in self.text

        poll(said)

    def processes(self) -> list[psutil.Process]:
        """All that know of its folder for temporary files: the demo itself, its daemon, agents, their commands."""
        return [one for one in psutil.process_iter() if _has(one, str(self.temp))]

    def daemon(self) -> psutil.Process:
        [daemon] = [one for one in self.process_children() if "run" in one.cmdline()]
        return daemon

    def process_children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for process in self.processes():
            process.kill()

    def left_nothing(self) -> bool:
        return not self.processes() and not list(self.temp.iterdir()) and not list(self.home.iterdir())


def _has(process: psutil.Process, folder: str) -> bool:
    try:
        return process.environ().get("TMPDIR") == folder
    except (psutil.Error, OSError):
        return False


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, Demo]]:
    """A demo that tidies up, and one that does not: at the same time, because each takes ten seconds."""
    plain, kept = Demo(tmp_path_factory.mktemp("plain")), Demo(tmp_path_factory.mktemp("kept"), "--keep")
    try:
        plain.end()
        kept.end()
        yield plain, kept
    finally:
        plain.kill()
        kept.kill()


@pytest.fixture(scope="module")
def told(both: tuple[Demo, Demo]) -> Demo:
    return both[0]


@pytest.fixture(scope="module")
def kept(both: tuple[Demo, Demo]) -> Demo:
    return both[1]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    started = Demo(tmp_path)
    try:
        yield started
    finally:
        started.kill()


def test_the_demo_ends_well(told: Demo) -> None:
    assert (told.process.returncode, told.errors) == (0, "")


def test_it_tells_the_whole_story_in_its_order(told: Demo) -> None:
    at = 0
    for line in STORY:
        assert line in told.text[at:], f"{line!r} is missing, or told too early, in:\n{told.text}"
        at = told.text.index(line, at) + len(line)


@pytest.mark.parametrize("name", ["release-notes", "site"])
def test_tasks_beside_the_one_that_waits_run_and_report(told: Demo, name: str) -> None:
    begun = told.text.index(f"{name}: pending → running")
    assert begun < told.text.index(f"{name}: running → done") < told.text.index(f"done/{name}/result.md:")


def test_it_takes_about_ten_seconds(told: Demo) -> None:
    assert 5 < told.took < 25


def test_it_fits_a_narrow_terminal_and_needs_no_colours(told: Demo) -> None:
    paths = (str(told.temp), str(samples()))
    assert [line for line in told.text.splitlines() if len(line) > 80 and not line.strip().startswith(paths)] == []
    assert "\x1b" not in told.text


def test_it_leaves_no_file_and_no_process_behind(told: Demo) -> None:
    assert told.left_nothing()


def test_it_shows_where_the_samples_are(told: Demo) -> None:
    assert f"\n   {samples()}\n" in told.text


def test_with_keep_it_names_the_folder_and_leaves_it_there(kept: Demo) -> None:
    [folder] = kept.temp.iterdir()
    assert kept.process.returncode == 0
    assert kept.text.endswith(f"\nKept: {folder}\n")
    assert "is now removed" not in kept.text
    assert (folder / "inbox/done/hello/result.md").is_file()
    assert (folder / "home/dropbox-runner-demo-site/index.html").is_file()
    assert kept.processes() == []


@pytest.mark.parametrize(
    "line",
    [
        "$ dropbox-runner init inbox",
        "$ dropbox-runner run inbox",
        "hello: pending → running",
        "choose-database: running → blocked",
    ],
)
def test_control_c_stops_and_removes_everything(demo: Demo, line: str) -> None:
    demo.until_it_says(line)
    os.killpg(demo.process.pid, signal.SIGINT)
    assert demo.end() == 130
    assert demo.text.endswith("\nStopped: nothing of the demo runs any more.\n")
    assert "Once more" not in demo.text
    assert demo.errors == ""
    assert demo.left_nothing()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_closed_terminal_or_a_shutdown_stops_and_removes_everything_too(demo: Demo, number: signal.Signals) -> None:
    demo.until_it_says("hello: pending → running")
    demo.process.send_signal(number)
    assert demo.end() == 128 + number
    assert demo.left_nothing()


def test_when_the_daemon_dies_it_says_so_and_leaves_no_agent_behind(demo: Demo) -> None:
    demo.until_it_says("hello: pending → running")
    demo.daemon().kill()
    assert demo.end() == 1
    assert "waited for done/hello/, but the daemon ended with -9" in demo.errors
    assert "hello: pending (dropped as hello.yaml)" in demo.errors
    assert "Traceback" not in demo.errors
    assert demo.left_nothing()


def test_what_does_not_happen_is_named_with_the_last_words_of_the_daemon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(stage_module, "_PATIENCE", 0.1)
    with stage(keep=False) as set_up:
        (set_up.root / "daemon.log").write_text("a line of the log\n")
        with pytest.raises(DemoError, match=r"waited 0\.1 s for Godot") as caught:
            set_up.wait_for("Godot", lambda: None)
    assert "    a line of the log\n" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_is_heeded_at_the_next_look_and_afterwards_means_what_it_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = signal.getsignal(signal.SIGINT)
    with stage(keep=False) as set_up:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(InterruptedDemoError):
            set_up.wait_for("nothing", lambda: True)
    assert signal.getsignal(signal.SIGINT) is before
    assert list(tmp_path.iterdir()) == []
