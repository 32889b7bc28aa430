"""How a run ended. Decided once, here, from facts only; never from the words of the model.

`subtype` and the exit code alone are never trusted: an API failure says subtype "success", a run stopped by SIGINT
and a `--version` that slipped into the prompt both exit 0 (measured on claude 2.1.330).
"""

from __future__ import annotations

from dataclasses import dataclass

from dropbox_runner.core.record import StopOrder
from dropbox_runner.core.states import Verdict
from dropbox_runner.core.stream import Ending

_ALREADY_IN_USE = "is already in use"
_ORDINARY = range(1, 128)
"""Exit codes that a program chooses; killed by a signal it is negative here, and 128 and more from a shell."""
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


@dataclass(frozen=True)
class Judgement:
    """The verdict and the reason, in words for a person."""

    verdict: Verdict
    reason: str
    session_exists: bool = False
    """The CLI says that our session id is taken: it can only be resumed from now on."""
    session_missing: bool = False
    """The CLI knows no such session: it was killed before anything had been saved."""


def judge(evidence: Evidence) -> Judgement:
    """Say how the run ended; the first row that fits holds."""
    ending, stop = evidence.ending, evidence.stop
    if stop is not None and stop.verdict is Verdict.CANCELLED:
        # A person called it off: whatever else it managed to say no longer matters.
        return Judgement(stop.verdict, stop.reason)
    if evidence.asked:
        # A question outranks how the run ended: the agent may have died right after asking.
        return Judgement(Verdict.ASKED, "claude asked a question")
    if ending.result is None:
        return _without_result(evidence)
    if ending.result.get("is_error") is not False:
        return _with_error(evidence)
    if (ending.number("num_turns") or 0) < 1:
        return Judgement(Verdict.FAILED, "claude ended without having asked the model anything")
    if evidence.exit_code not in (0, None) and stop is None:
        return Judgement(Verdict.FAILED, f"claude reported success, but {_exit(evidence.exit_code)}")
    return Judgement(Verdict.SUCCEEDED, "claude finished its work")


def _without_result(evidence: Evidence) -> Judgement:
    if evidence.stop is not None:
        return Judgement(evidence.stop.verdict, evidence.stop.reason)
    if _ALREADY_IN_USE in evidence.stderr:
        return Judgement(Verdict.INTERRUPTED, "the session had already been started", session_exists=True)
    if evidence.exit_code in _ORDINARY and evidence.ending.lines == 0:
        # Nothing on stdout: claude did not accept how it was called. Trying again would only give the same answer.
        said = evidence.stderr.strip() or "it said nothing"
        return Judgement(Verdict.FAILED, f"claude did not start ({_exit(evidence.exit_code)}): {said}")
    return Judgement(Verdict.INTERRUPTED, f"claude was cut off without a result ({_exit(evidence.exit_code)})")


def _with_error(evidence: Evidence) -> Judgement:
    text = evidence.ending.text.strip()
    if _NO_CONVERSATION in text or _NO_CONVERSATION in evidence.stderr:
        return Judgement(Verdict.INTERRUPTED, "claude does not know the session", session_missing=True)
    if evidence.stop is not None:
        return Judgement(evidence.stop.verdict, evidence.stop.reason)
    return Judgement(Verdict.FAILED, text or f"claude reported an error without words ({_exit(evidence.exit_code)})")


def _exit(code: int | None) -> str:
    if code is None:
        return "exit code unknown: it ended while no daemon was running"
    if code < 0:
        return f"killed by signal {-code}"
    return f"exit code {code}"
