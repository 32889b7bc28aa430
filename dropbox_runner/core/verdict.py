"""How a run ended. Decided once, here, from facts only; never from the words of the model.

`subtype` and the exit code alone are never trusted: an API failure says subtype "success", a run stopped by SIGINT
and a `--version` that slipped into the prompt both exit 0 (measured on claude 2.1.330).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dropbox_runner.core.cleantext import clipped
from dropbox_runner.core.run import StopOrder
from dropbox_runner.core.states import Verdict
from dropbox_runner.core.stream import ApiError, Ending, status_of

_ALREADY_IN_USE = re.compile(r"\bSession ID \S+ is already in use\b")
"""No port, or whatever else a hook or a launcher may say that of."""
_ORDINARY = range(1, 128)
"""Exit codes that a program chooses; killed by a signal it is negative here, and 128 and more from a shell."""
_CANNOT_RUN = (126, 127)
"""What a shell, `env` and many wrappers say of a command that is not there or cannot be executed: the npm package's
claude where there is no node."""
_NO_CONVERSATION = "No conversation found with session ID"


@dataclass(frozen=True)
class Evidence:
    """Everything that is known about a run that has ended."""

    ending: Ending
    exit_code: int | None
    """None: adopted after a restart, nobody knows."""
    stderr: str
    """The beginning of what it wrote there."""
    asked: bool
    """Whether it left a question."""
    stop: StopOrder | None
    """Whether we had told it to end, and why."""
    reached: bool = True
    """Whether claude itself was started; a sandbox or a launcher may have failed before."""


@dataclass(frozen=True)
class Judgement:
    """The verdict and the reason, in words for a person."""

    verdict: Verdict
    reason: str
    session_exists: bool = False
    """The CLI says that our session id is taken: it can only be resumed from now on."""
    session_missing: bool = False
    """The CLI knows no such session: it was killed before anything had been saved."""
    never_began: bool = False
    """It ended by itself before it had a session: what it was to be told nobody has read."""


def judge(evidence: Evidence) -> Judgement:
    """Say how the run ended; the first row that fits holds."""
    ending, stop = evidence.ending, evidence.stop
    if stop is not None and stop.verdict is Verdict.CANCELLED:
        # A person called it off: whatever else it managed to say no longer matters.
        return Judgement(stop.verdict, stop.reason)
    if evidence.asked:
        # A question outranks how the run ended: the agent may have died right after asking.
        return Judgement(Verdict.ASKED, "claude asked a question")
    if ending.result is None or cut_off_later(evidence):
        return _without_result(evidence)
    if ending.result.get("is_error") is not False:
        return _with_error(evidence)
    if (ending.number("num_turns") or 0) < 1:
        return Judgement(Verdict.FAILED, "claude ended without having asked the model anything")
    if evidence.exit_code in _ORDINARY and stop is None:
        # Its own choice. Killed after its result, by whomever, it had said all that there was to say.
        return Judgement(Verdict.FAILED, f"claude reported success, but {_exit(evidence.exit_code)}")
    if (why := ending.result.get("terminal_reason")) not in (None, "completed"):
        # tool_deferred, hook_stopped and the like: no error, but the turn was ended for it.
        return Judgement(Verdict.FAILED, f"claude was stopped before it had finished ({clipped(str(why), 100)})")
    if ending.denials:
        return Judgement(Verdict.DENIED, "claude wanted to do something that it was not allowed to")
    return Judgement(Verdict.SUCCEEDED, "claude finished its work")


def cut_off_later(evidence: Evidence) -> bool:
    """Say whether a further turn had begun after the last result and did not end by itself.

    Something in the background had woken it again; what it was about to do is not known, so it is not done.
    """
    by_itself = evidence.exit_code in (0, *_ORDINARY)
    lingered = evidence.stop is not None and evidence.stop.verdict is Verdict.SUCCEEDED
    return evidence.ending.result is not None and evidence.ending.turn_open and not by_itself and not lingered


def _without_result(evidence: Evidence) -> Judgement:
    if evidence.stop is not None:
        return Judgement(evidence.stop.verdict, evidence.stop.reason)
    if evidence.ending.session_id is None and _ALREADY_IN_USE.search(evidence.stderr):
        return Judgement(Verdict.INTERRUPTED, "the session had already been started", session_exists=True)
    if _session_missing(evidence):
        return _NO_SESSION
    how, said = _exit(evidence.exit_code), evidence.stderr.strip() or "it said nothing"
    if _not_reached(evidence):
        why = f"the launcher or the sandbox ended before claude was started ({how}): {said}"
        return Judgement(Verdict.ACCOUNT, why, never_began=True)
    if _cannot_run(evidence):
        return Judgement(Verdict.ACCOUNT, f"the claude command cannot be run ({how}): {said}", never_began=True)
    if never_began(evidence):
        # It never got as far as a session: claude did not accept how it was called, and would not the next time.
        return Judgement(Verdict.FAILED, f"claude did not start ({how}): {said}", never_began=True)
    if evidence.exit_code == 0 and evidence.ending.session_id is None and evidence.ending.lines:
        why = "what was run as claude wrote nothing that claude would write"
        return Judgement(Verdict.FAILED, why, never_began=True)
    where = "in a further turn after its result" if evidence.ending.result is not None else "without a result"
    return Judgement(Verdict.INTERRUPTED, f"claude was cut off {where} ({how})")


def never_began(evidence: Evidence) -> bool:
    """Say whether it ended by itself before it had a session: no model was asked, and nothing was spent."""
    return _not_reached(evidence) or (evidence.exit_code in _ORDINARY and evidence.ending.session_id is None)


def _cannot_run(evidence: Evidence) -> bool:
    return _not_reached(evidence) or (evidence.exit_code in _CANNOT_RUN and not evidence.ending.lines)


def _not_reached(evidence: Evidence) -> bool:
    """Say whether what was to start claude ended by itself before it had: with any exit code, as ssh says 255."""
    by_itself = evidence.exit_code is not None and evidence.exit_code >= 0
    return not evidence.reached and by_itself and evidence.ending.session_id is None


def _with_error(evidence: Evidence) -> Judgement:
    text = evidence.ending.text.strip()
    if _session_missing(evidence):
        return _NO_SESSION
    if evidence.stop is not None and evidence.stop.verdict is not Verdict.SUCCEEDED:
        return Judgement(evidence.stop.verdict, evidence.stop.reason)
    said = text or f"claude reported an error without words ({_exit(evidence.exit_code)})"
    return Judgement(_of_error(evidence.ending), clipped(said))


_NO_SESSION = Judgement(Verdict.INTERRUPTED, "claude does not know the session", session_missing=True)


def _session_missing(evidence: Evidence) -> bool:
    # The line on stdout may be missing, or half of it, where the disk is full. A session that was begun is known.
    said = (evidence.ending.text, evidence.stderr)
    return evidence.ending.session_id is None and any(_NO_CONVERSATION in one for one in said)


def served(evidence: Evidence) -> Verdict | None:
    """Say how account and API have served a run, whatever became of the task; None when the run could not say.

    A run that asked a question, or was called off, can have met the usage limit all the same.
    """
    ending = evidence.ending
    if ending.result is None:
        return Verdict.ACCOUNT if _cannot_run(evidence) and evidence.stop is None else None
    if ending.result.get("is_error") is not False:
        return _of_error(ending)
    # A run in which the model was never asked (a slash command) says nothing of the API.
    return Verdict.SUCCEEDED if ending.number("num_turns") else None


_ACCOUNT = {
    *("authentication_failed", "oauth_org_not_allowed", "account_on_hold", "verification_required"),
    *("billing_error", "cloud_credential_error"),
}
_PASSING = {"rate_limit", "overloaded", "server_error"}
_PASSING_STATUS = {408, 429}


def _of_error(ending: Ending) -> Verdict:
    """Tell whose trouble an error is: the task's, the account's, or nobody's and it will pass."""
    result = ending.result or {}
    if result.get("subtype") == "error_max_budget_usd":
        return Verdict.OUT_OF_MONEY
    error = ending.api_error or ApiError()
    status = status_of(result) or error.status
    code = result.get("api_error") or error.code
    if code == "usage_limit_reached" or (status == 429 and ending.used_up):
        return Verdict.LIMITED
    if status in (401, 402, 403) or error.kind in _ACCOUNT:
        return Verdict.ACCOUNT
    if code == "connection_failed" or status in _PASSING_STATUS or (status is not None and status >= 500):
        return Verdict.OVERLOADED
    return Verdict.OVERLOADED if status is None and error.kind in _PASSING else Verdict.FAILED


def _exit(code: int | None) -> str:
    if code is None:
        return "exit code unknown: it ended while no daemon was running"
    if code < 0:
        return f"killed by signal {-code}"
    return f"exit code {code}"
