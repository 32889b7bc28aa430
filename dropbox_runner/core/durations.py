"""Lengths of time as people write them (`90m`, `1h30m`) and as we show them (`2 h 10 min`); times of day."""

from __future__ import annotations

import math
import re
from datetime import datetime

from dropbox_runner.core.cleantext import shorten

_PARTS = re.compile(
    r"(?:(?P<d>\d+(?:\.\d+)?)d(?:ays?)?)?(?:(?P<h>\d+(?:\.\d+)?)h(?:(?:ou)?rs?)?)?"
    r"(?:(?P<m>\d+(?:\.\d+)?)m(?:in(?:ute)?s?)?)?(?:(?P<s>\d+(?:\.\d+)?)s(?:ec(?:ond)?s?)?)?",
    re.ASCII | re.IGNORECASE,
)
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_LONGEST = 3650 * 86400
_ADVICE = "write a number with its unit, such as `45s`, `90m`, `2h`, `1h30m` or `1d`"


class DurationError(ValueError):
    """A text is no length of time. `advice` says how to write one."""

    def __init__(self, message: str, advice: str = _ADVICE) -> None:
        super().__init__(message)
        self.advice = advice


def parse_duration(text: str) -> float:
    """Read a length of time, in seconds. Raises DurationError (a ValueError)."""
    packed = "".join(text.split())
    if not packed:
        raise DurationError("there is no length of time")
    if re.fullmatch(r"\d{1,18}(\.\d+)?", packed, re.ASCII):
        raise DurationError(
            f"`{packed[:20]}` has no unit", f"say `{packed[:20]}m` for minutes or `{packed[:20]}s` for seconds"
        )
    # The length is looked at first: digits without end would cost time in the pattern and in float().
    found = _PARTS.fullmatch(packed) if len(packed) <= 40 else None
    if not found:
        raise DurationError(f"`{shorten(text, 40)}` is not a length of time")
    seconds = sum(float(amount) * _SECONDS[unit] for unit, amount in found.groupdict().items() if amount)
    if seconds <= 0:
        raise DurationError("the length of time must be more than nothing")
    if seconds > _LONGEST:
        raise DurationError("the length of time is more than ten years")
    return seconds


def format_duration(seconds: float) -> str:
    """Show a length of time by its two largest units; tenths only below 10 seconds."""
    if not math.isfinite(seconds):
        return "?"
    tenths = round(max(seconds, 0.0), 1)
    if tenths < 10:
        return f"{tenths:g} s"
    whole = round(seconds)
    days, hours = divmod(whole // 3600, 24)
    minutes, rest = whole // 60 % 60, whole % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(at for at, (amount, _) in enumerate(parts) if amount)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[first : first + 2] if amount)


def time_of_day(moment: float, now: float) -> str:
    """Show a unix time as the clock on this machine's wall does; with the day unless that is today's (at `now`)."""
    then, today = (datetime.fromtimestamp(one).astimezone() for one in (moment, now))
    return then.strftime("%H:%M" if then.date() == today.date() else "%a %d %b %H:%M")
