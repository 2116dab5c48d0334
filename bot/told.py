"""Told to stop: SIGTERM and SIGINT for the tools that run without an event loop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Told(BaseException):
    """A signal said so. It comes wherever the program is, also where it waits for a pipe that nobody reads."""


@contextmanager
def told_to_stop() -> Iterator[None]:
    """Within it the first signal raises Told, and further ones wait for the end. In the main thread only."""
    here = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGINT) if here else ()

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise Told

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
