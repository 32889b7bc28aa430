"""record.json: read by older and newer versions, and never half."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_runner.core.record import Dropped, NewerRecordError, Outcome, Record, RecordError, read_record
from dropbox_runner.core.run import Next, ProcessId, Run, StopOrder, Why
from dropbox_runner.core.states import Verdict

AT = "2026-01-02T12:00:00+00:00"
RUN = Run(
    number=1,
    id="r",
    why=Why.START,
    resumed=False,
    started_at=AT,
    steady=1.5,
    boot="b",
    timeout=60.0,
    process=ProcessId(pid=1, started=2, boot="b"),
    stop=StopOrder(verdict=Verdict.CANCELLED, reason="-", steady=2.0, boot="b"),
    swept=("12 sleep",),
)
MINIMAL = Record(id="i", name="x", dropped=Dropped(file="x.yaml"), taken_at=AT, session_id="s")
FULL = MINIMAL.but(
    runs=(RUN,),
    next=Next(why=Why.ANSWER, round=1, answers=("answer.md",)),
    outcome=Outcome(verdict=Verdict.FAILED, reason="r", at=AT),
).with_event(AT, "taken")


@pytest.mark.parametrize("record", [MINIMAL, FULL], ids=["new", "used"])
def test_what_was_written_is_read_again(record: Record) -> None:
    assert read_record(record.to_json()) == record


def test_it_is_readable_for_people() -> None:
    text = FULL.to_json().decode()
    assert text.endswith("}\n")
    assert '\n  "name": "x",\n' in text


def test_what_a_newer_version_wrote_is_kept_everywhere() -> None:
    data = json.loads(FULL.to_json())
    data["hologram"] = {"a": [1, {"b": None}]}
    data["version"] = 2
    data["runs"][0]["colour"] = "blue"
    data["runs"][0]["process"]["cgroup"] = "/x"
    data["next"]["mood"] = 7
    data["dropped"]["origin"] = "phone"
    again = read_record(json.dumps(data).encode())
    changed = again.with_run(RUN.but(number=2)).with_event(AT, "more").but(rounds=3)
    written = json.loads(changed.to_json())
    assert written["hologram"]["a"][0] == 1
    assert written["version"] == 2
    assert written["runs"][0]["colour"] == "blue"
    assert written["runs"][0]["process"]["cgroup"] == "/x"
    assert written["next"]["mood"] == 7
    assert written["dropped"]["origin"] == "phone"


def test_what_an_older_version_left_out_has_a_meaning() -> None:
    old = {"id": "i", "name": "x", "dropped": {"file": "x.yaml"}, "taken_at": AT, "session_id": "s"}
    assert read_record(json.dumps(old).encode()) == MINIMAL


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file"),
        (b"\x00" * 100, "the file"),
        (b"{", "the file"),
        (b"[]", "the file"),
        (b"null", "the file"),
        (b"\xff\xfe{}", "the file"),
        (b"{}", "id"),
        (FULL.to_json()[:200], "the file"),
        (FULL.to_json().replace(b'"start"', b'"dance"'), "runs.0.why"),
        (b"[" * 100_000, "the file"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_broken_record_says_where(data: bytes, says: str) -> None:
    with pytest.raises(RecordError, match=f"record.json: {says}: "):
        read_record(data)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_a_record_or_a_record_error(data: bytes) -> None:
    with pytest.raises(RecordError):
        read_record(data)


@given(st.text())
def test_any_text_can_be_written_and_read_again(text: str) -> None:
    again = read_record(MINIMAL.with_event(AT, text).to_json())
    assert again.history[0].text == text


def test_half_a_character_in_a_text_of_claude_does_not_make_the_record_unwritable() -> None:
    again = read_record(MINIMAL.with_event(AT, "half \ud83d and \udcff").to_json())
    assert again.history[0].text.startswith("half ")


def test_a_run_takes_the_place_of_the_one_with_its_number() -> None:
    record = MINIMAL.with_run(RUN).with_run(RUN.but(verdict=Verdict.FAILED))
    assert len(record.runs) == 1
    assert record.open_run is None
    assert record.with_run(RUN.but(number=2)).open_run == RUN.but(number=2)


def test_sums() -> None:
    record = MINIMAL.with_run(RUN.but(verdict=Verdict.STOPPED, messages=2, seconds=1.0)).with_run(
        RUN.but(number=2, verdict=Verdict.SUCCEEDED, cost_usd=0.5, turns=3, messages=4, seconds=2.0)
    )
    assert (record.cost_usd, record.turns, record.turns_seen, record.seconds) == (0.5, 3, 6, 3.0)
    assert record.cost_unknown


@pytest.mark.parametrize("pid", ["0", "-1", '"init"', "null", "1.5", "true", "{}", "99999999999999999999999"])
def test_an_identity_that_makes_no_sense_is_none(pid: str) -> None:
    read = read_record(FULL.to_json().replace(b'"pid": 1', f'"pid": {pid}'.encode()))
    run = read.last
    assert run is not None
    assert run.process is None or run.process.pid > 1


def test_what_only_a_newer_version_can_understand_is_no_broken_record() -> None:
    newer = FULL.to_json().replace(b'"version": 1', b'"version": 7').replace(b'"answer"', b'"teleport"')
    with pytest.raises(NewerRecordError, match=r"record version 7, .* at next.why: upgrade"):
        read_record(newer)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("late", ["../../../.ssh/id_rsa"]),
        ("late", ["/etc/passwd"]),
        ("attached", [".."]),
        ("parent", "../../x"),
        ("session_id", "x\0y"),
        ("not_before", 1e300),
        ("not_before", float("nan")),
        ("budget_usd", float("inf")),
        ("next", {"why": "answer", "round": 1, "answers": ["../../../thesis.txt"]}),
        ("asking", {"topic": "cut_off", "planned": {"why": "answer", "answers": ["/etc/passwd"]}}),
        ("runs", [{**json.loads(RUN.model_dump_json()), "id": "/home/me"}]),
        ("runs", [{**json.loads(RUN.model_dump_json()), "steady": 1e308}]),
        ("runs", [{**json.loads(RUN.model_dump_json()), "cost_usd": float("nan")}]),
    ],
)
def test_what_could_lead_out_of_the_folder_or_cannot_be_reckoned_with_is_no_record(field: str, value: object) -> None:
    data = json.loads(FULL.to_json())
    data[field] = value
    with pytest.raises(RecordError):
        read_record(json.dumps(data).encode())
