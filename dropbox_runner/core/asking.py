"""The questions that the runner itself asks, and what the answers to them mean."""

from __future__ import annotations

import re
from typing import Final

from dropbox_runner.core.denials import Denial
from dropbox_runner.core.durations import format_duration
from dropbox_runner.core.question import Question
from dropbox_runner.core.record import Asking, Outcome, Record, Topic
from dropbox_runner.core.run import Next, Why
from dropbox_runner.core.states import Verdict

GO_ON: Final = "Go on in the same session"
AFRESH: Final = "Start from the beginning"
GIVE_UP: Final = "Stop the task"
ALLOW: Final = "allow"
DENY: Final = "deny"
DONE: Final = "done"
_STOP: Final = frozenset({GIVE_UP.lower(), "stop"})
_AROUND: Final = " \t\r\n`'\"*“”‘’«».!"
"""What people, and keyboards, put around a word that they were told to write."""
_DOLLARS: Final = re.compile(
    r"(?:us)?\$?\s*(?:usd)?\s*(?P<number>\d+(?:[.,]\d*)?|[.,]\d+)\s*(?:\$|usd|dollars?)?", re.IGNORECASE | re.ASCII
)
_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2},\d{3}", re.ASCII)
"""To some a thousand, to others one and three decimals."""


def cut_off(record: Record) -> Question:
    """Ask when a task has been cut off too often."""
    reason = record.last.reason if record.last is not None else "unknown"
    text = (
        f"The runs of this task were cut off {record.cut_off} times in a row, before claude could say how it ended. "
        f"The last one: {reason}. How shall it go on?"
    )
    return Question(text=text, options=(GO_ON, GIVE_UP))


def outage(record: Record, now: float) -> Question:
    """Ask when the API could not serve a task for very long."""
    waited = format_duration(max(0.0, now - (record.throttled_since or now)))
    reason = record.last.reason if record.last is not None else "unknown"
    text = f"The API could not serve this task for {waited} ({record.throttled} tries). The last answer: {reason}"
    return Question(text=text, options=(GO_ON, GIVE_UP))


def session_lost() -> Question:
    """Ask when claude has forgotten a session in which work had been done."""
    text = (
        "claude no longer knows the session of this task (it keeps them for 30 days, in one configuration folder), and "
        "work had been done in it. Starting from the beginning does that work again. How shall it go on?"
    )
    return Question(text=text, options=(AFRESH, GIVE_UP))


def money(record: Record, budget: float) -> Question:
    """Ask when the budget is spent."""
    handed = f" and left ${record.handed_over_usd:.2f} to its sub-tasks," if record.handed_over_usd else ""
    least = "at least " if record.cost_unknown else ""
    text = (
        f"It has spent {least}${record.cost_usd:.2f}{handed} of its budget of ${budget:.2f}. "
        "Answer with a new total in dollars (a number such as 10), or `stop`."
    )
    return Question(text=text)


def denied(found: tuple[Denial, ...]) -> Question:
    """Ask whether claude may do what it was not allowed to do."""
    lines = [f"- {one.words}\n  (rule: {one.rule or 'none allows exactly this'})" for one in found]
    grants = any(one.rule for one in found)
    meaning = [
        f"`{ALLOW}` lets it go on with just these rules, for the rest of this task." if grants else "",
        f"`{DENY}`, or any other text, lets it go on without, and tells it so.",
        f"`{DONE}` takes the task as finished as it is.",
    ]
    question = "Allow it?" if grants else "How shall it go on?"
    text = "\n".join(["Claude was not allowed to", *lines, "", " ".join(filter(None, [question, *meaning]))])
    return Question(text=text, options=(ALLOW, DENY, DONE) if grants else (DENY, DONE))


def problem(record: Record, answer: str) -> str | None:
    """Say why an answer to a question of ours cannot be acted on; None when it can."""
    asking = record.asking
    if asking is None or _word(answer) in _STOP:
        return None
    if asking.topic is Topic.SESSION and _word(answer) != AFRESH.lower():
        return f"the answer must be one of the options (1: {AFRESH}, 2: {GIVE_UP})"
    if asking.topic is Topic.MONEY:
        total = _amount(answer)
        if total is None:
            return "the answer must be a new total in dollars, such as 10, or `stop`"
        gone = record.cost_usd + record.handed_over_usd
        if total <= gone:
            return f"${gone:.2f} have been spent already; the new total must be more"
    return None


def reply(record: Record, answer: str, closing: Next, fresh_session: str, at: str) -> Record:
    """Return the record after an answer: with what runs next, or with how the task has ended.

    `closing` names the round that the answer closes; `fresh_session` is used if it asks for a new beginning.
    """
    asking, said = record.asking, answer.strip()
    record = record.but(asking=None, cut_off=0, throttled=0, throttled_since=None, not_before=None)
    if asking is None:
        return record.but(next=closing.but(why=Why.ANSWER))
    if asking.topic is not Topic.DENIED and _word(said) in _STOP:
        return record.but(outcome=Outcome(verdict=Verdict.CANCELLED, reason="stopped by your answer", at=at))
    match asking.topic:
        case Topic.DENIED:
            return _after_denial(record, asking, said, closing, at)
        case Topic.MONEY:
            return record.but(next=_planned(asking.planned, closing, Why.MONEY), budget_usd=_amount(said))
        case Topic.CUT_OFF if said == GO_ON:
            return record.but(next=_planned(asking.planned, closing.but(passes_answer=False), Why.INTERRUPTED))
        case Topic.SESSION:
            return record.but(next=closing.but(why=Why.START), session_id=fresh_session, session_seen=False)
        case Topic.CUT_OFF | Topic.OUTAGE:
            why = Why.INTERRUPTED if asking.topic is Topic.CUT_OFF else Why.OVERLOADED
            return record.but(next=closing.but(why=why, passes_answer=said != GO_ON))


def _planned(planned: Next | None, closing: Next, why: Why) -> Next:
    """Go on with the run that the question has kept waiting, if it has."""
    if planned is None:
        return closing.but(why=why)
    told = planned.round if planned.told is None else planned.told
    passes = planned.passes_answer and told is not None
    return closing.but(why=planned.why, detail=planned.detail, passes_answer=passes, told=told)


def _after_denial(record: Record, asking: Asking, said: str, closing: Next, at: str) -> Record:
    if _word(said) == DONE:
        reason = "you took it as finished, though something had been denied"
        return record.but(outcome=Outcome(verdict=Verdict.SUCCEEDED, reason=reason, at=at))
    if _word(said) == ALLOW and asking.rules:
        rules = tuple(dict.fromkeys((*record.rules, *asking.rules)))
        return record.but(next=closing.but(why=Why.ALLOWED, passes_answer=False), rules=rules)
    return record.but(next=closing.but(why=Why.DENIED))


def _word(answer: str) -> str:
    return answer.strip(_AROUND).lower()


def _amount(text: str) -> float | None:
    found = _DOLLARS.fullmatch(text.strip())
    if found is None or _THOUSANDS.fullmatch(found["number"]):
        return None
    value = float(found["number"].replace(",", "."))
    return value if 0 < value < 1e9 else None
