"""How a run ended: the table of evidence, and what the real claude left behind in each case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from dropbox_runner.core.run import StopOrder
from dropbox_runner.core.states import Verdict
from dropbox_runner.core.stream import Ending, read_stream
from dropbox_runner.core.verdict import Evidence, Judgement, judge

CAPTURES = Path(__file__).parents[1] / "captures"

GOOD = {"type": "result", "subtype": "success", "is_error": False, "num_turns": 1, "result": "done"}
BAD = GOOD | {"is_error": True, "result": "API Error: 500"}
NO_WORDS = {"type": "result", "subtype": "error_max_turns", "is_error": True, "num_turns": 3}
UNKNOWN = NO_WORDS | {"errors": ["No conversation found with session ID: x"], "num_turns": 0}


def stop(verdict: Verdict) -> StopOrder:
    return StopOrder(verdict=verdict, reason=f"told: {verdict}", steady=1.0, boot="b")


@dataclass(frozen=True)
class Row:
    """What is known of a run, and what follows."""

    verdict: Verdict
    reason: str
    result: dict[str, object] | None = None
    exit_code: int | None = 0
    lines: int = 3
    session_id: str | None = None
    stderr: str = ""
    asked: bool = False
    stop: Verdict | None = None
    exists: bool = False
    missing: bool = False
    reached: bool = True


ROWS = {
    "it worked": Row(Verdict.SUCCEEDED, "finished its work", GOOD),
    "it worked while no daemon watched": Row(Verdict.SUCCEEDED, "finished its work", GOOD, exit_code=None),
    "a success that exits 1 is none": Row(Verdict.FAILED, "exit code 1", GOOD, exit_code=1),
    "killed after its result, it had said all": Row(Verdict.SUCCEEDED, "finished", GOOD, exit_code=-9),
    "killed after its result, as a shell says it": Row(Verdict.SUCCEEDED, "finished", GOOD, exit_code=137),
    "finished just before it was told to stop": Row(
        Verdict.SUCCEEDED, "finished", GOOD, exit_code=143, stop=Verdict.STOPPED
    ),
    "finished just before its timeout": Row(Verdict.SUCCEEDED, "finished", GOOD, exit_code=143, stop=Verdict.TIMED_OUT),
    "no turn at all is no work": Row(Verdict.FAILED, "without having asked the model", GOOD | {"num_turns": 0}),
    "no number of turns is no work": Row(
        Verdict.FAILED, "without having asked the model", {"type": "result", "is_error": False}
    ),
    "no word on whether it is an error is an error": Row(
        Verdict.FAILED, "done", {"type": "result", "subtype": "success", "num_turns": 1, "result": "done"}
    ),
    "is_error must be a plain false": Row(Verdict.FAILED, "done", GOOD | {"is_error": 0}),
    "an API error says success and is none": Row(Verdict.FAILED, "API Error: 500", BAD, exit_code=1),
    "an error without words": Row(Verdict.FAILED, "without words (exit code 1)", NO_WORDS, exit_code=1),
    "an error after it was told to end": Row(
        Verdict.TIMED_OUT, "told: timed_out", BAD, exit_code=143, stop=Verdict.TIMED_OUT
    ),
    # A question outranks everything but a person's "stop".
    "it asked": Row(Verdict.ASKED, "asked a question", GOOD, asked=True),
    "it asked and died": Row(Verdict.ASKED, "asked", None, exit_code=-9, asked=True),
    "it asked and the API failed": Row(Verdict.ASKED, "asked", BAD, exit_code=1, asked=True),
    "it asked, then the daemon stopped it": Row(Verdict.ASKED, "asked", None, 143, asked=True, stop=Verdict.STOPPED),
    "it asked, then its time was up": Row(Verdict.ASKED, "asked", None, 143, asked=True, stop=Verdict.TIMED_OUT),
    "it asked, but was called off": Row(Verdict.CANCELLED, "told: cancelled", GOOD, asked=True, stop=Verdict.CANCELLED),
    "it finished, but was called off": Row(Verdict.CANCELLED, "told: cancelled", GOOD, stop=Verdict.CANCELLED),
    # Without a result line.
    "killed": Row(Verdict.INTERRUPTED, "killed by signal 9", exit_code=-9),
    "ended by somebody's SIGTERM": Row(Verdict.INTERRUPTED, "exit code 143", exit_code=143),
    "vanished while no daemon watched": Row(Verdict.INTERRUPTED, "exit code unknown", exit_code=None, lines=0),
    "exit 0 and nothing said": Row(Verdict.INTERRUPTED, "exit code 0", exit_code=0, lines=0),
    "exit 1 in the middle": Row(Verdict.INTERRUPTED, "exit code 1", exit_code=1, lines=5, session_id="s"),
    "it did not like its options": Row(
        Verdict.FAILED,
        "did not start (exit code 1): error: unknown option",
        exit_code=1,
        lines=0,
        stderr="error: unknown option '--x'\n",
    ),
    "it did not start and said nothing": Row(Verdict.FAILED, "it said nothing", exit_code=1, lines=0),
    # What stands between us and claude is everybody's trouble, whatever exit code it has.
    "the sandbox could not be made": Row(
        Verdict.ACCOUNT,
        "before claude was started (exit code 1): bwrap: no",
        exit_code=1,
        stderr="bwrap: no\n",
        lines=0,
        reached=False,
    ),
    "the launcher did not get through": Row(
        Verdict.ACCOUNT, "(exit code 255): ssh: no route", exit_code=255, stderr="ssh: no route", lines=1, reached=False
    ),
    "the launcher went away at once": Row(Verdict.ACCOUNT, "(exit code 0)", exit_code=0, lines=0, reached=False),
    "the launcher was killed": Row(Verdict.INTERRUPTED, "signal 9", exit_code=-9, lines=0, reached=False),
    "nobody knows how the launcher ended": Row(Verdict.INTERRUPTED, "unknown", exit_code=None, lines=0, reached=False),
    "the launcher was told to stop": Row(
        Verdict.STOPPED, "told", exit_code=143, lines=0, stop=Verdict.STOPPED, reached=False
    ),
    "a wrapper that keeps stderr to itself": Row(Verdict.SUCCEEDED, "finished", GOOD, reached=False),
    "claude itself did not like its options behind a launcher": Row(
        Verdict.FAILED, "did not start (exit code 1): error", exit_code=1, stderr="error: unknown option", lines=0
    ),
    "there is nothing to run it with": Row(
        Verdict.ACCOUNT,
        "cannot be run (exit code 127): env: ‘node’",
        exit_code=127,
        lines=0,
        stderr="env: ‘node’: No such file or directory\n",
    ),
    "it may not be executed": Row(Verdict.ACCOUNT, "cannot be run (exit code 126)", exit_code=126, lines=0),
    "it had begun, and then said 127": Row(
        Verdict.INTERRUPTED, "exit code 127", exit_code=127, lines=3, session_id="s"
    ),
    "it could not be run, but was told to end": Row(
        Verdict.STOPPED, "told: stopped", exit_code=127, lines=0, stop=Verdict.STOPPED
    ),
    "stopped by the daemon": Row(Verdict.STOPPED, "told: stopped", exit_code=143, stop=Verdict.STOPPED),
    "stopped before it had said anything": Row(
        Verdict.STOPPED, "told: stopped", exit_code=1, lines=0, stop=Verdict.STOPPED
    ),
    "timed out": Row(Verdict.TIMED_OUT, "told: timed_out", exit_code=-9, stop=Verdict.TIMED_OUT),
    "called off": Row(Verdict.CANCELLED, "told: cancelled", exit_code=143, stop=Verdict.CANCELLED),
    # The session.
    "our id is taken: it can be resumed": Row(
        Verdict.INTERRUPTED,
        "already been started",
        exit_code=1,
        lines=0,
        exists=True,
        stderr="Error: Session ID x is already in use.\n",
    ),
    "claude knows no such session": Row(
        Verdict.INTERRUPTED, "does not know the session", UNKNOWN, exit_code=1, missing=True
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_table(row: Row) -> None:
    ending = Ending(result=row.result, lines=row.lines, session_id=row.session_id)
    order = stop(row.stop) if row.stop else None
    judged = judge(Evidence(ending, row.exit_code, row.stderr, row.asked, order, reached=row.reached))
    assert judged.verdict is row.verdict
    assert row.reason in judged.reason
    assert (judged.session_exists, judged.session_missing) == (row.exists, row.missing)


def test_the_words_of_the_model_decide_nothing() -> None:
    said = "No conversation found with session ID, Error: is already in use. I was interrupted."
    judged = judge(
        Evidence(Ending(result=GOOD | {"result": said}, last_words=said, lines=3), 0, "", asked=False, stop=None)
    )
    assert judged == Judgement(Verdict.SUCCEEDED, "claude finished its work")


def captured(name: str, *, asked: bool = False) -> Judgement:
    folder = CAPTURES / name
    with (folder / "stdout.jsonl").open("rb") as stream:
        ending = read_stream(stream)
    exit_code = int((folder / "exit").read_text().split()[0])
    return judge(Evidence(ending, exit_code, (folder / "stderr").read_text(), asked, None))


@pytest.mark.parametrize(
    ("name", "verdict", "reason"),
    [
        ("01_normal", Verdict.SUCCEEDED, "finished"),
        ("02_session_id_reused", Verdict.INTERRUPTED, "already been started"),
        ("02_resume_unknown", Verdict.INTERRUPTED, "does not know the session"),
        ("05_flag_bad", Verdict.FAILED, "error: unknown option '--no-such-flag'"),
        ("05_turns_2", Verdict.FAILED, "maximum number of turns"),
        ("06_dash_known_flag", Verdict.FAILED, "nothing that claude would write"),
        ("06_slash_clear", Verdict.FAILED, "without having asked the model"),
        ("08_proc_sig15_tool", Verdict.INTERRUPTED, "exit code 143"),
        ("08_proc_sig9_tool", Verdict.INTERRUPTED, "signal 9"),
        ("08b_bgshort_pipe", Verdict.SUCCEEDED, "finished"),
    ],
)
def test_what_the_real_claude_left(name: str, verdict: Verdict, reason: str) -> None:
    judged = captured(name)
    assert judged.verdict is verdict, judged.reason
    assert reason in judged.reason


@pytest.mark.parametrize("name", ["03_401_mr2", "03_500_mr2", "03_404_model"])
def test_an_api_failure_of_the_real_claude_is_no_success_though_it_says_so(name: str) -> None:
    judged = captured(name)
    assert judged.verdict is not Verdict.SUCCEEDED
    assert judged.reason.strip(), "a person is told what the API said"


def test_a_question_of_the_real_claude_outranks_its_success() -> None:
    assert captured("01_question_file", asked=True).verdict is Verdict.ASKED
    assert captured("01_question_file").verdict is Verdict.SUCCEEDED


def test_the_session_of_the_real_claude() -> None:
    assert captured("02_session_id_reused").session_exists
    assert captured("02_resume_unknown").session_missing
