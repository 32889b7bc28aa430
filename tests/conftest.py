"""What holds for all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Give signals back their meaning: started in the background, or under nohup, we inherit them as ignored.

    So would every program that a test starts, and ^C in it would do nothing.
    """
    for number, meaning in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, meaning)
