"""How a run's stream reads as a verdict: streams that nobody has recorded, built from the meaning of their fields."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from dropbox_runner.core.decide import home
from dropbox_runner.core.followup import Patience, conclude, pause
from dropbox_runner.core.gate import Gate, Why, after
from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.run import Run, StopOrder
from dropbox_runner.core.run import Why as ForWhat
from dropbox_runner.core.states import State, Verdict
from dropbox_runner.core.stream import Ending, read_stream
from dropbox_runner.core.verdict import Evidence, Judgement, judge, served

Json = dict[str, Any]
NOW = 1_800_000_000.0
HOUR = 3600.0
RUN = Run(
    number=1, id="0" * 32, why=ForWhat.START, resumed=False, started_at="2026-01-01T00:00:00Z", steady=0, boot="b"
)
GOOD: Json = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "num_turns": 1,
    "result": "done",
    "terminal_reason": "completed",
}
INIT: Json = {"type": "system", "subtype": "init", "session_id": "s"}


def result(**fields: object) -> Json:
    return GOOD | fields


def refused(status: int | None = None, kind: str = "", code: str = "", **fields: object) -> list[Json]:
    """What claude writes when it gives up on the API: a line in the model's place, and a result."""
    said = "API Error: what the API said"
    line: Json = {"type": "assistant", "is_api_error_message": True, "api_error_status": status, "error": kind}
    line["message"] = {"model": "<synthetic>", "content": [{"type": "text", "text": said}]}
    end = result(is_error=True, api_error_status=status, terminal_reason="api_error", result=said)
    if code:
        line["api_error"] = end["api_error"] = code
    return [INIT, line | fields, end]


def says(text: str) -> Json:
    return {"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}}


def limit(status: str = "rejected", resets: object = None, window: str = "five_hour", **more: object) -> Json:
    info: Json = {"status": status, "rateLimitType": window} | more
    return {"type": "rate_limit_event", "rate_limit_info": info if resets is None else info | {"resetsAt": resets}}


def read(*messages: Json | bytes) -> Ending:
    compact = (one if isinstance(one, bytes) else json.dumps(one, separators=(",", ":")).encode() for one in messages)
    return read_stream([line + b"\n" for line in compact])


def verdict(
    *messages: Json | bytes,
    exit_code: int | None = 1,
    stderr: str = "",
    asked: bool = False,
    stop: StopOrder | None = None,
) -> Judgement:
    return judge(Evidence(read(*messages), exit_code, stderr, asked, stop))


def gate_after(*messages: Json | bytes, before: Gate | None = None, exit_code: int | None = 1) -> Gate | None:
    ending = read(*messages)
    resets = max((reset for _, reset in ending.used_up), default=None)
    evidence = Evidence(ending, exit_code, "", asked=False, stop=None)
    return after(before, served(evidence), ending.text, resets, NOW)


# ---------------------------------------------------------------------------------------------- which line decides


def test_of_several_results_the_last_one_decides_whichever_way_it_points() -> None:
    good_then_bad = verdict(INIT, result(), INIT, *refused(529, "overloaded"))
    bad_then_good = verdict(*refused(529, "overloaded"), INIT, says("again"), result(), exit_code=0)

    assert good_then_bad.verdict is Verdict.OVERLOADED
    assert bad_then_good.verdict is Verdict.SUCCEEDED


@pytest.mark.parametrize("exit_code", [None, -9, -15, 143, 137])
def test_a_turn_that_had_begun_after_the_result_and_was_cut_off_is_not_done(exit_code: int | None) -> None:
    woken: list[Json | bytes] = [
        INIT,
        says("hello"),
        result(),
        INIT,
        says("I go on"),
        b'{"type":"result","is_error":false,"num_tu',
    ]

    assert verdict(*woken, exit_code=exit_code).verdict is Verdict.INTERRUPTED
    order = StopOrder(verdict=Verdict.STOPPED, reason="the daemon was told to stop", steady=1, boot="b")
    assert verdict(*woken, exit_code=exit_code, stop=order).verdict is Verdict.STOPPED
    # It ended by itself, or only lingered: what it has said holds.
    assert verdict(*woken, exit_code=0).verdict is Verdict.SUCCEEDED
    lingered = StopOrder(verdict=Verdict.SUCCEEDED, reason="did not end", steady=1, boot="b")
    assert verdict(*woken, exit_code=exit_code, stop=lingered).verdict is Verdict.SUCCEEDED


@pytest.mark.parametrize("blank", ["", "  \n", None, 5])
def test_a_blank_result_is_what_was_said_before_and_no_reason_of_an_error(blank: object) -> None:
    assert read(INIT, says("My report."), result(result=blank)).text == "My report."
    assert read(INIT, says("My report."), result(result=blank, is_error=True)).text == ""


def test_what_follows_a_result_without_being_a_turn_changes_nothing() -> None:
    note: Json = {"type": "system", "subtype": "task_notification"}
    more = (note, limit("allowed"), b'{"type":"hologram"}', b'{"type":"as')

    assert verdict(INIT, says("hello"), result(), *more, exit_code=None).verdict is Verdict.SUCCEEDED


def test_an_api_error_that_the_model_recovered_from_is_forgotten() -> None:
    _, line, _ = refused(401, "authentication_failed")
    end = result(is_error=True, api_error_status=None, subtype="error_during_execution", result="something else")

    assert verdict(INIT, line, says("back again"), end).verdict is Verdict.FAILED
    assert verdict(INIT, line, says("back again"), result(), exit_code=0).verdict is Verdict.SUCCEEDED


def test_a_stream_with_blanks_behind_its_colons_says_the_same() -> None:
    lines = [json.dumps(one).encode() + b"\n" for one in (INIT, says("hello"), result())]
    ending = read_stream(lines)

    assert judge(Evidence(ending, 0, "", asked=False, stop=None)).verdict is Verdict.SUCCEEDED
    assert (ending.session_id, ending.turns_seen) == ("s", 1)


@pytest.mark.parametrize("end", [b"null", b'"result"', b"[]", b'[{"type":"result","is_error":false,"num_turns":1}]'])
def test_a_result_that_is_no_object_is_none(end: bytes) -> None:
    assert verdict(INIT, says("hello"), end, exit_code=0).verdict is Verdict.INTERRUPTED


def test_is_error_left_out_is_never_taken_for_a_success() -> None:
    end = result()
    del end["is_error"]

    assert verdict(INIT, end, exit_code=0).verdict is Verdict.FAILED


@pytest.mark.parametrize("why", ["hook_stopped", "tool_deferred", "stop_hook_prevented", "something_new"])
def test_a_turn_that_was_ended_for_the_model_is_not_done_though_there_is_no_error(why: str) -> None:
    judged = verdict(INIT, says("…"), result(terminal_reason=why), exit_code=0)

    assert judged.verdict is Verdict.FAILED
    assert why in judged.reason


@pytest.mark.parametrize("why", [None, "completed"])
def test_a_turn_that_ran_to_its_end_is_done(why: str | None) -> None:
    assert verdict(INIT, says("…"), result(terminal_reason=why), exit_code=0).verdict is Verdict.SUCCEEDED


@pytest.mark.parametrize("turns", [0, -1, None, True, "3", float("nan"), 10**400])
def test_without_a_sane_number_of_turns_the_model_was_not_asked(turns: object) -> None:
    assert verdict(INIT, result(num_turns=turns), exit_code=0).verdict is Verdict.FAILED


@pytest.mark.parametrize("denied", [["Bash"], [None], "Bash", {"tool_name": "Bash"}, [[]], [{}], 1])
def test_a_denial_of_an_unknown_shape_is_one_all_the_same(denied: object) -> None:
    assert verdict(INIT, says("hello"), result(permission_denials=denied), exit_code=0).verdict is Verdict.DENIED


@pytest.mark.parametrize("none", [None, [], {}, "", False])
def test_no_denial_of_an_unknown_shape_is_none(none: object) -> None:
    assert verdict(INIT, says("hello"), result(permission_denials=none), exit_code=0).verdict is Verdict.SUCCEEDED


@pytest.mark.parametrize("half", [(), (b'{"type":"result","subtype":"error_during_exec',)])
def test_an_unknown_session_is_also_known_from_stderr_alone(half: tuple[bytes, ...]) -> None:
    judged = verdict(*half, stderr="No conversation found with session ID: 1-2-3\n")

    assert (judged.verdict, judged.session_missing) == (Verdict.INTERRUPTED, True)


def test_a_session_that_was_begun_is_not_missing_whatever_an_error_says() -> None:
    end = result(is_error=True, result="No conversation found with session ID: that is what the tool said")

    assert verdict(INIT, says("hello"), end).verdict is Verdict.FAILED


def test_only_a_session_that_is_in_use_can_be_resumed_and_no_port() -> None:
    assert verdict(stderr="Error: Session ID 1-2-3 is already in use.\n").session_exists
    port = verdict(stderr="Error: listen EADDRINUSE: port 3000 is already in use\n")
    assert (port.verdict, port.session_exists) == (Verdict.FAILED, False)
    assert not verdict(INIT, says("hello"), exit_code=-9, stderr="Session ID 1-2-3 is already in use").session_exists


def test_an_error_of_megabytes_is_a_short_reason() -> None:
    judged = verdict(INIT, says("hello"), result(is_error=True, result="why " * 5_000_000))

    assert judged.reason.startswith("why why")
    assert len(judged.reason) < 5000


# ---------------------------------------------------------------------------------------------- whose trouble it is


REFUSALS: dict[str, tuple[list[Json], Verdict]] = {
    "429": (refused(429, "rate_limit"), Verdict.OVERLOADED),
    "408": (refused(408, "server_error"), Verdict.OVERLOADED),
    "408 of an unknown kind": (refused(408, "unknown"), Verdict.OVERLOADED),
    **{str(one): (refused(one, "server_error"), Verdict.OVERLOADED) for one in (500, 502, 503, 504, 520, 529, 599)},
    "529 in words of its own": (refused(529, "overloaded"), Verdict.OVERLOADED),
    "503 of an unknown kind": (refused(503, "brand_new_kind"), Verdict.OVERLOADED),
    "no answer": (refused(None, "server_error", "connection_failed"), Verdict.OVERLOADED),
    "no answer, of an unknown kind": (refused(None, "unknown", "connection_failed"), Verdict.OVERLOADED),
    "timed out": (refused(None, "server_error"), Verdict.OVERLOADED),
    "overloaded, no status": (refused(None, "overloaded"), Verdict.OVERLOADED),
    "401": (refused(401, "authentication_failed"), Verdict.ACCOUNT),
    "401 of an unknown kind": (refused(401, "unknown"), Verdict.ACCOUNT),
    "402": (refused(402, "unknown"), Verdict.ACCOUNT),
    "403": (refused(403, "authentication_failed"), Verdict.ACCOUNT),
    "no credit": (refused(400, "billing_error"), Verdict.ACCOUNT),
    "not logged in": (refused(None, "authentication_failed"), Verdict.ACCOUNT),
    "account on hold": (refused(None, "account_on_hold"), Verdict.ACCOUNT),
    "the organisation refuses": (refused(403, "oauth_org_not_allowed"), Verdict.ACCOUNT),
    "400": (refused(400, "invalid_request"), Verdict.FAILED),
    "404": (refused(404, "model_not_found"), Verdict.FAILED),
    "413": (refused(413, "invalid_request"), Verdict.FAILED),
    "too long an answer": (refused(None, "max_output_tokens", "max_output_tokens"), Verdict.FAILED),
    "a kind that nobody knows": (refused(None, "brand_new_kind"), Verdict.FAILED),
    "a status that is no number": (
        [*refused(None, "")[:2], result(is_error=True, api_error_status=[])],
        Verdict.FAILED,
    ),
    "the status only in the model's place": (
        [*refused(529, "overloaded")[:2], result(is_error=True, api_error_status=None)],
        Verdict.OVERLOADED,
    ),
    "the budget": ([INIT, result(is_error=True, subtype="error_max_budget_usd")], Verdict.OUT_OF_MONEY),
    "too many turns": ([INIT, result(is_error=True, subtype="error_max_turns")], Verdict.FAILED),
    "an error without a word": ([INIT, {"type": "result", "is_error": True}], Verdict.FAILED),
}


@pytest.mark.parametrize(("stream", "expected"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("exit_code", [1, None])
def test_whose_trouble_a_refusal_is(stream: list[Json], expected: Verdict, exit_code: int | None) -> None:
    judged = verdict(*stream, exit_code=exit_code)

    assert judged.verdict is expected
    assert judged.reason.strip(), "a person reads why"


@pytest.mark.parametrize(("stream", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_no_refusal_is_ever_filed_as_done(stream: list[Json], expected: Verdict) -> None:
    record = concluded(verdict(*stream))

    assert home(record) is not State.DONE
    if expected in (Verdict.OVERLOADED, Verdict.ACCOUNT, Verdict.LIMITED):
        assert home(record) is State.PENDING
        assert record.retried == 0, "it used up no retry"


# ---------------------------------------------------------------------------------------------- the usage limit


def test_with_several_windows_used_up_it_waits_for_the_one_that_is_reset_last() -> None:
    windows = {
        "five_hour": {"status": "rejected", "resetsAt": NOW + HOUR},
        "seven_day": {"status": "rejected", "resetsAt": NOW + 30 * HOUR},
        "seven_day_opus": {"status": "allowed", "resetsAt": NOW + 90 * HOUR},
    }
    stream = [limit(resets=NOW + HOUR, unifiedWindows=windows), *refused(429, "rate_limit", "usage_limit_reached")]

    assert verdict(*stream).verdict is Verdict.LIMITED
    gate = gate_after(*stream)
    assert gate is not None
    assert (gate.why, gate.until) == (Why.LIMIT, NOW + 30 * HOUR)


def test_windows_told_in_several_lines_count_together_and_the_newest_word_on_each_holds() -> None:
    stream = [
        limit(resets=NOW + 50 * HOUR, window="seven_day"),
        limit(resets=NOW + 2 * HOUR),
        limit("allowed", NOW + 50 * HOUR, "seven_day"),
        *refused(429, "rate_limit", "usage_limit_reached"),
    ]

    gate = gate_after(*stream)

    assert gate is not None
    assert gate.until == NOW + 2 * HOUR


def test_a_window_that_does_not_repeat_its_status_is_as_used_up_as_the_line_says() -> None:
    windows = {"five_hour": {"utilization": 1, "resetsAt": NOW + HOUR}}
    stream = [limit(resets=NOW + HOUR, unifiedWindows=windows), *refused(429, "rate_limit")]

    assert verdict(*stream).verdict is Verdict.LIMITED


def test_of_several_windows_one_without_a_status_is_used_up_when_nothing_of_it_is_left() -> None:
    windows = {
        "seven_day": {"utilization": 1, "resetsAt": NOW + 30 * HOUR},
        "seven_day_opus": {"utilization": 0.9, "resetsAt": NOW + 90 * HOUR},
    }
    gate = gate_after(limit(resets=NOW + HOUR, unifiedWindows=windows), *refused(429, "rate_limit"))

    assert gate is not None
    assert gate.until == NOW + 30 * HOUR
    assert gate_after(limit("allowed", NOW + HOUR, unifiedWindows=windows), result(), exit_code=0) is None


def test_the_limit_is_also_known_from_the_message_in_the_models_place() -> None:
    info = {"status": "rejected", "resetsAt": NOW + HOUR, "rateLimitType": "five_hour"}
    gate = gate_after(*refused(429, "rate_limit", api_error_params={"rate_limit_info": info}))

    assert gate is not None
    assert (gate.why, gate.until) == (Why.LIMIT, NOW + HOUR)


@pytest.mark.parametrize("strange", ["soon", None, True, [], {}, float("inf"), float("nan"), 10**400, "1795336159"])
def test_a_limit_whose_reset_makes_no_sense_still_holds_for_a_while(strange: object) -> None:
    stream = [limit() | {"rate_limit_info": {"status": "rejected", "resetsAt": strange}}]
    stream += refused(429, "rate_limit", "usage_limit_reached")

    assert verdict(*stream).verdict is Verdict.LIMITED
    gate = gate_after(*stream)
    assert gate is not None
    assert NOW + 60 <= gate.until <= NOW + HOUR


@pytest.mark.parametrize(
    ("resets", "until"),
    [
        (NOW + 2 * HOUR, NOW + 2 * HOUR),
        ((NOW + 2 * HOUR) * 1000, NOW + 2 * HOUR),
        (NOW - 5, NOW + 60),
        (NOW - 400 * HOUR, NOW + 1800),
        (NOW + 400 * HOUR, NOW + 1800),
        (0, NOW + 1800),
        (-1, NOW + 1800),
        (1e300, NOW + 1800),
    ],
    ids=["in time", "in milliseconds", "just past", "long past", "absurdly late", "zero", "negative", "beyond all"],
)
def test_until_when_a_limit_holds(resets: float, until: float) -> None:
    gate = gate_after(limit(resets=resets), *refused(429, "rate_limit", "usage_limit_reached"))

    assert gate is not None
    assert gate.until == until


@pytest.mark.parametrize("status", ["allowed", "allowed_warning"])
def test_a_429_while_the_limit_is_not_reached_is_only_throttling(status: str) -> None:
    stream = [limit(status, NOW + HOUR), *refused(429, "rate_limit")]

    assert verdict(*stream).verdict is Verdict.OVERLOADED


def test_a_rejection_without_a_reset_is_only_throttling() -> None:
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "isUsingOverage": False}}

    assert verdict(event, *refused(429, "rate_limit")).verdict is Verdict.OVERLOADED


def test_a_used_up_window_does_not_turn_another_trouble_into_a_limit() -> None:
    assert verdict(limit(resets=NOW + HOUR), *refused(529, "overloaded")).verdict is Verdict.OVERLOADED
    assert verdict(limit(resets=NOW + HOUR), says("…"), result(), exit_code=0).verdict is Verdict.SUCCEEDED


def test_a_run_that_has_asked_and_then_met_the_limit_asks_and_the_gate_closes_all_the_same() -> None:
    stream = [limit(resets=NOW + HOUR), *refused(429, "rate_limit", "usage_limit_reached")]

    assert verdict(*stream, asked=True).verdict is Verdict.ASKED
    gate = gate_after(*stream)
    assert gate is not None
    assert gate.why is Why.LIMIT


def test_a_run_that_was_called_off_and_had_met_the_limit_closes_the_gate_all_the_same() -> None:
    order = StopOrder(verdict=Verdict.CANCELLED, reason="called off", steady=1, boot="b")
    stream = refused(429, "rate_limit", "usage_limit_reached")

    assert verdict(*stream, stop=order).verdict is Verdict.CANCELLED
    assert gate_after(*stream) is not None


def test_a_run_that_was_cut_off_says_nothing_about_the_account() -> None:
    gate = Gate(why=Why.ACCOUNT, until=NOW - 1, reason="401", tries=2)

    assert gate_after(INIT, says("…"), before=gate) == gate


def test_a_run_in_which_the_model_was_never_asked_says_nothing_about_the_account() -> None:
    gate = Gate(why=Why.ACCOUNT, until=NOW - 1, reason="401", tries=2)

    assert gate_after(INIT, result(num_turns=0), before=gate, exit_code=0) == gate
    assert gate_after(INIT, result(num_turns=1), before=gate, exit_code=0) is None


def test_a_claude_that_cannot_be_run_at_all_is_everybodys_trouble_and_tried_again_later_each_time() -> None:
    first = gate_after(exit_code=127)
    assert first is not None
    assert (first.why, first.until) == (Why.ACCOUNT, NOW + 60)
    second = gate_after(exit_code=126, before=first.model_copy(update={"until": NOW}))
    assert second is not None
    assert second.until == NOW + 120


# ---------------------------------------------------------------------------------------------- strange bytes


STRANGE = [
    b"\x00" * 4096,
    b'{"type":"result","is_error":false,"num_turns":1,"result":"cut in ha',
    b'{"type":"assistant","message":{"content":[{"type":"text","text":"\xff\xfe"}]}}',
    b'{"type":"hologram","session_id":"another"}',
    b'{"type":["result"],"is_error":false}',
    b'{"type":{"type":"result"}}',
    b"\xef\xbb\xbf",
    b"[" * 200_000 + b'"type":"result"',
    b'{"type":"result","n":' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("line", STRANGE, ids=lambda line: repr(line[:30]))
def test_a_line_that_makes_no_sense_takes_nothing_from_those_around_it(line: bytes) -> None:
    judged = verdict(INIT, line, says("hello"), result(), line, exit_code=0)

    assert judged.verdict is Verdict.SUCCEEDED


def test_lone_surrogates_and_nuls_in_a_message_reach_the_record_as_something_that_can_be_written() -> None:
    judged = verdict(*refused(400, "invalid_request")[:2], result(is_error=True, result="bad \ud83d and \x00 text"))
    written = concluded(judged).to_json()

    assert b"bad" in written
    assert not {"\0", "\ud83d"} & set(judged.reason), "it is shown in pages and in a terminal"
    written.decode()


def test_a_text_of_50_megabytes_is_read_and_costs_no_more_than_a_few_times_itself() -> None:
    def lines() -> Iterator[bytes]:
        yield json.dumps(INIT).encode() + b"\n"
        yield b'{"type":"user","tool_use_result":"' + b'\\"type\\":\\"result\\" ' * 2_500_000 + b'"}\n'
        yield json.dumps(result()).encode() + b"\n"

    tracemalloc.start()
    ending = read_stream(lines())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert judge(Evidence(ending, 0, "", asked=False, stop=None)).verdict is Verdict.SUCCEEDED
    assert peak < 250_000_000


# ---------------------------------------------------------------------------------------------- what follows


def concluded(judgement: Judgement, *, retries: int = 0, record: Record | None = None, now: float = NOW) -> Record:
    begun = record or Record(id="i", name="x", dropped=Dropped(file="x"), taken_at="t", session_id="s")
    run = RUN.but(number=len(begun.runs) + 1)
    patience = Patience(retries=retries, max_cut_off=3, outage=12 * HOUR, on_denial="ask")
    return conclude(begun.with_run(run), run, judgement, patience, at="t", now=now)


@pytest.mark.parametrize("passing", [Verdict.LIMITED, Verdict.OVERLOADED, Verdict.ACCOUNT, Verdict.STOPPED])
def test_what_will_pass_uses_up_no_retry_and_no_patience_with_cuts(passing: Verdict) -> None:
    record = concluded(Judgement(passing, "…"), retries=1)

    assert (record.retried, record.cut_off) == (0, 0)
    assert concluded(Judgement(Verdict.FAILED, "…"), retries=1, record=record.but(next=None)).next is not None


def test_an_outage_is_borne_for_so_long_and_then_a_person_is_asked() -> None:
    record: Record | None = None
    moments = [NOW + hours * HOUR for hours in (0, 1, 6, 11.9, 12.1)]
    for moment in moments[:-1]:
        record = concluded(Judgement(Verdict.OVERLOADED, "529"), record=record, now=moment)
        assert home(record) is State.PENDING
        record = record.but(next=None)
    record = concluded(Judgement(Verdict.OVERLOADED, "529"), record=record, now=moments[-1])

    assert home(record) is State.BLOCKED
    assert record.asking is not None


def test_an_outage_that_was_interrupted_by_a_run_that_was_served_begins_anew() -> None:
    record = concluded(Judgement(Verdict.OVERLOADED, "529"))
    record = concluded(Judgement(Verdict.LIMITED, "limit"), record=record.but(next=None), now=NOW + 13 * HOUR)
    record = concluded(Judgement(Verdict.OVERLOADED, "529"), record=record.but(next=None), now=NOW + 14 * HOUR)

    assert home(record) is State.PENDING


def test_the_pauses_between_tries_grow_and_have_a_ceiling_and_a_jitter_within_bounds() -> None:
    least, most = "00000000", "ffffffff"
    bases = [30, 60, 120, 240, 480, 900, 900, 900]

    assert [pause(tries, least) for tries in range(8)] == bases
    assert [pause(tries, most) for tries in range(8)] == pytest.approx([base * 1.25 for base in bases])
    assert pause(10_000, most) <= 900 * 1.25
    assert len({pause(3, f"{number:08x}") for number in range(0, 2**32, 2**27)}) == 32, "not all at the same moment"
