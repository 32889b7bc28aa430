"""How long to look for what nobody has thought of: a moment, or for FUZZ_SECONDS as CI does.

CI always tries the same, as far as its time goes; FUZZ_SEED (a number) is for looking elsewhere.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
"""For each of the tests here."""
FIRST = int(os.environ.get("FUZZ_SEED", "0"))
EXAMPLES = 500 if SECONDS else 40


def fuzzed(*inputs: SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Run a check with generated inputs, over and over until the time is used up."""

    def decorate(check: Callable[..., None]) -> Callable[[], None]:
        slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
        limits = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=slow, database=None)
        once = limits(given(*inputs)(check))

        def test() -> None:
            end = time.monotonic() + SECONDS
            for number in itertools.count(FIRST):
                seed(number)(once)()
                if time.monotonic() >= end:
                    break

        test.__name__ = test.__qualname__ = check.__name__
        return test

    return decorate
