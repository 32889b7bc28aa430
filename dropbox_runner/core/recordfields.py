"""The kinds of value that a record can hold. It lies in a synced folder, so others than we may have written it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_LATEST = 1e11
"""Unix time. In the year 5138; somewhat later no calendar can show it."""
MOST = 10**9
"""More dollars, seconds or turns than that are a mistake."""


def _plain(text: str) -> str:
    # These are put behind the path of a folder: `../..`, or a whole path, would lead out of it.
    if text in ("", ".", "..") or "/" in text or "\0" in text:
        raise ValueError("is no plain name")
    return text


def moment(text: str) -> float | None:
    """Return the unix time of a moment as a record holds it (ISO 8601); None where somebody has written no such thing.

    It is only shown: no reason to put a task aside for it.
    """
    try:
        at = datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return at if 0 <= at <= _LATEST else None


PlainName: TypeAlias = Annotated[str, AfterValidator(_plain)]
"""The name of something in a folder, or an id by which something is called; never a path."""
UnixTime: TypeAlias = Annotated[float, Field(ge=0, le=_LATEST)]
Amount: TypeAlias = Annotated[float, Field(ge=0, le=MOST)]
"""Dollars, or seconds; neither `nan` nor `inf`, with which nothing could be compared."""
Steady: TypeAlias = Annotated[float, Field(ge=-MOST, le=MOST)]
"""A moment on the steady clock, or the time between two; of a run that began before this boot it may be negative."""
Count: TypeAlias = Annotated[int, Field(ge=0, le=MOST)]


class Kept(BaseModel):
    """A part of a record."""

    # A newer version may have written fields that this one does not know: keep them when it writes again.
    model_config = ConfigDict(frozen=True, extra="allow")

    def but(self, **changes: object) -> Self:
        """Return a copy with these fields changed."""
        return self.model_copy(update=changes)
