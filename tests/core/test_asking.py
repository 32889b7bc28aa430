"""The questions that the runner itself asks: what every answer to them does."""

from __future__ import annotations

import pytest

from dropbox_runner.core import asking
from dropbox_runner.core.answer import parse_answer
from dropbox_runner.core.asking import AFRESH, ALLOW, DENY, DONE, GIVE_UP, GO_ON, problem, reply
from dropbox_runner.core.denials import Denial
from dropbox_runner.core.question import Question
from dropbox_runner.core.record import Asking, Dropped, Record, Topic
from dropbox_runner.core.run import Next, Run, Why
from dropbox_runner.core.states import Verdict

RULE = "Bash(touch a)"
SPENT = 2.5
CLOSING = Next(why=Why.ANSWER, round=1, answers=("answer.md",))
RUN = Run(
    number=1,
    id="r",
    why=Why.START,
    resumed=False,
    started_at="t",
    steady=0,
    boot="b",
    verdict=Verdict.OVERLOADED,
    reason="529",
    cost_usd=SPENT,
)


def waiting(topic: Topic) -> Record:
    record = Record(id="i", name="x", dropped=Dropped(file="x"), taken_at="t", session_id="old", runs=(RUN,))
    rules = (RULE,) if topic is Topic.DENIED else ()
    return record.but(
        asking=Asking(topic=topic, rules=rules), session_seen=True, cut_off=4, throttled=9, not_before=9e9
    )


def question(topic: Topic) -> Question:
    record = waiting(topic).but(throttled_since=1.0)
    return {
        Topic.CUT_OFF: asking.cut_off(record),
        Topic.OUTAGE: asking.outage(record, 7201.0),
        Topic.SESSION: asking.session_lost(),
        Topic.MONEY: asking.money(record, 2.0),
        Topic.DENIED: asking.denied((Denial("run the command: touch a", RULE),)),
    }[topic]


def said(topic: Topic, text: str) -> str:
    """The answer as it comes out of its file: a number stands for its option."""
    return parse_answer("answer.md", text.encode(), (question(topic),)).text


def answered(topic: Topic, text: str) -> Record:
    answer = said(topic, text)
    assert problem(waiting(topic), answer) is None
    return reply(waiting(topic), answer, CLOSING, "new", "t")


ANSWERS = [
    (Topic.CUT_OFF, "1", Why.INTERRUPTED, False),
    (Topic.CUT_OFF, GO_ON, Why.INTERRUPTED, False),
    (Topic.CUT_OFF, "yes, but skip the tests", Why.INTERRUPTED, True),
    (Topic.OUTAGE, "1.", Why.OVERLOADED, False),
    (Topic.OUTAGE, "go on, in small steps", Why.OVERLOADED, True),
    (Topic.OUTAGE, "7", Why.OVERLOADED, True),
    (Topic.SESSION, "1", Why.START, True),
    (Topic.SESSION, AFRESH, Why.START, True),
    (Topic.SESSION, AFRESH.lower(), Why.START, True),
    (Topic.MONEY, "10", Why.MONEY, True),
    (Topic.MONEY, "$ 10".replace(" ", ""), Why.MONEY, True),
    (Topic.MONEY, "2,51", Why.MONEY, True),
    *((Topic.MONEY, text, Why.MONEY, True) for text in ("10$", "10 $", "$ 10", "10 USD", "usd 10.5", "20 dollars\n")),
    (Topic.DENIED, "1", Why.ALLOWED, False),
    (Topic.DENIED, ALLOW, Why.ALLOWED, False),
    (Topic.DENIED, " Allow \n", Why.ALLOWED, False),
    *(
        (Topic.DENIED, text, Why.ALLOWED, False)
        for text in ("ALLOW", "`allow`", '"Allow"', "allow.", "**allow**", "allow!")
    ),
    (Topic.DENIED, "2", Why.DENIED, True),
    (Topic.DENIED, DENY, Why.DENIED, True),
    (Topic.DENIED, "write to /tmp instead", Why.DENIED, True),
    (Topic.DENIED, "stop", Why.DENIED, True),
    (Topic.DENIED, "allow everything", Why.DENIED, True),
]


@pytest.mark.parametrize(("topic", "text", "why", "passed_on"), ANSWERS)
def test_an_answer_lets_the_task_go_on(topic: Topic, text: str, why: Why, *, passed_on: bool) -> None:
    record = answered(topic, text)

    assert record.outcome is None
    assert record.next == CLOSING.but(why=why, passes_answer=passed_on)
    assert record.asking is None
    assert (record.cut_off, record.throttled, record.throttled_since, record.not_before) == (0, 0, None, None)


@pytest.mark.parametrize("text", ["stop", "Stop", "STOP\n", "`stop`", "Stop.", GIVE_UP, GIVE_UP.lower(), "2"])
@pytest.mark.parametrize("topic", [Topic.CUT_OFF, Topic.OUTAGE, Topic.SESSION])
def test_stop_ends_the_task(topic: Topic, text: str) -> None:
    record = answered(topic, text)

    assert record.next is None
    assert record.outcome is not None
    assert record.outcome.verdict is Verdict.CANCELLED


@pytest.mark.parametrize("text", ["stop", "Stop\n", GIVE_UP])
def test_stop_ends_a_task_that_has_spent_its_budget(text: str) -> None:
    record = answered(Topic.MONEY, text)

    assert record.outcome is not None
    assert record.outcome.verdict is Verdict.CANCELLED


def test_done_takes_a_task_as_it_is_although_something_was_denied() -> None:
    for text in ("done", "3", "Done\n", "`done`", "Done."):
        record = answered(Topic.DENIED, text)
        assert record.outcome is not None
        assert record.outcome.verdict is Verdict.SUCCEEDED
        assert "denied" in record.outcome.reason


def test_allow_grants_just_the_rules_of_the_question_beside_those_granted_before() -> None:
    assert answered(Topic.DENIED, ALLOW).rules == (RULE,)
    before = waiting(Topic.DENIED).but(rules=("Edit(//x)", RULE))
    assert reply(before, ALLOW, CLOSING, "new", "t").rules == ("Edit(//x)", RULE)


def test_anything_else_grants_nothing() -> None:
    for text in ("2", DENY, "allow everything", "yes", "done?", "1 2"):
        assert answered(Topic.DENIED, text).rules == ()


def test_allow_where_no_rule_would_help_grants_nothing() -> None:
    record = waiting(Topic.DENIED).but(asking=Asking(topic=Topic.DENIED))
    after = reply(record, ALLOW, CLOSING, "new", "t")

    assert after.rules == ()
    assert after.next is not None
    assert after.next.why is Why.DENIED


def test_starting_from_the_beginning_uses_a_session_that_was_never_used() -> None:
    record = answered(Topic.SESSION, "1")

    assert (record.session_id, record.session_seen) == ("new", False)


@pytest.mark.parametrize("text", ["3", "go on", "Start", "hm?", "0"])
def test_a_lost_session_is_not_begun_again_on_a_vague_answer(text: str) -> None:
    reason = problem(waiting(Topic.SESSION), said(Topic.SESSION, text))

    assert reason is not None
    assert AFRESH in reason


@pytest.mark.parametrize(
    "text", ["ten", "", "go on", "nan", "inf", "1e12", "-5", "0", "10 or so", "1.2.3", "1,000", "+5", "1_0", "."]
)
def test_what_is_no_amount_is_refused_with_the_reason(text: str) -> None:
    reason = problem(waiting(Topic.MONEY), text)

    assert reason is not None
    assert "dollars" in reason


@pytest.mark.parametrize("text", ["2.5", "2", "$1"])
def test_a_total_that_is_spent_already_is_refused_with_the_sum(text: str) -> None:
    reason = problem(waiting(Topic.MONEY), text)

    assert reason is not None
    assert "$2.50" in reason


def test_the_new_total_is_kept() -> None:
    assert answered(Topic.MONEY, "12.5").budget_usd == 12.5


def test_a_question_of_claudes_own_takes_any_answer() -> None:
    record = waiting(Topic.MONEY).but(asking=None)

    for text in ("stop", "allow", "10", "/clear"):
        assert problem(record, text) is None
        assert reply(record, text, CLOSING, "new", "t").next == CLOSING


def test_each_question_says_what_happened_and_what_can_be_answered() -> None:
    assert "4 times in a row" in question(Topic.CUT_OFF).text
    assert "529" in question(Topic.CUT_OFF).text
    assert "2 h" in question(Topic.OUTAGE).text
    assert "9 tries" in question(Topic.OUTAGE).text
    assert question(Topic.SESSION).options == (AFRESH, GIVE_UP)
    assert "$2.50 of its budget of $2.00" in question(Topic.MONEY).text
    assert "`stop`" in question(Topic.MONEY).text
    denied = question(Topic.DENIED)
    assert "run the command: touch a" in denied.text
    assert RULE in denied.text
    assert denied.options == (ALLOW, DENY, DONE)


def test_where_nothing_can_be_granted_allow_is_not_offered() -> None:
    asked = asking.denied((Denial("use mcp__shop__buy with {}", None),))

    assert asked.options == (DENY, DONE)
    assert "none allows exactly this" in asked.text
    assert "`allow`" not in asked.text
