"""A loop whose time is virtual, and simulated processes on it that can be killed or frozen at any step.

The loop jumps to the next timer when nothing is ready. Every callback belongs to the process in whose context it was
scheduled: of a dead one it never runs again, and of a frozen one it waits until that goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

CLOCK_RESOLUTION_SECONDS = 1e-9
TURN_SECONDS = 5e-5  # a turn of the loop takes time, too


class Crashed(BaseException):
    """The process is killed at this point: nothing of it may catch this, as nothing catches SIGKILL."""


def is_a_crash(error: BaseException) -> bool:
    """Is it the simulation's own doing, alone or as all of a group?"""
    if isinstance(error, BaseExceptionGroup):
        return all(is_a_crash(one) for one in error.exceptions)
    return isinstance(error, Crashed)


class Fate:
    """What has become of one process: whether it still runs, and what it would do if it were not frozen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen = False
        self.held: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def thaw(self, loop: Loop) -> None:
        """It goes on where it stood."""
        if self.frozen:
            self.frozen = False
            held, self.held = self.held, []
            loop.again(held)


PROCESS: ContextVar[Fate | None] = ContextVar("process", default=None)


class _Held(events.Handle):
    """A callback that runs only while its process does."""

    def _run(self) -> None:
        if _may_run(self):
            super()._run()


class _HeldTimer(events.TimerHandle):
    """The same with a time."""

    def _run(self) -> None:
        if _may_run(self):
            super()._run()


def _may_run(handle: Any) -> bool:
    fate = handle._context.get(PROCESS)
    if fate is None:
        return True
    if fate.frozen or fate.dead:
        fate.held.append(handle)
        return False
    return True


class _NoSelector:
    """There is nothing outside: to wait is to move the clock."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the simulation waits for nothing: a deadlock")
        self.loop.now += max(timeout, TURN_SECONDS)
        return []


class Loop(asyncio.BaseEventLoop):
    """The virtual loop. `now`: seconds since its beginning."""

    def __init__(self, began_at: float = 0.0) -> None:
        super().__init__()
        self.now = began_at
        self.unexpected: list[str] = []
        self._selector = _NoSelector(self)
        self._clock_resolution = CLOCK_RESOLUTION_SECONDS
        self.set_task_factory(_task)  # type: ignore[arg-type]  # typeshed wants a protocol with a generator
        self.set_exception_handler(lambda _, context: self._note(context))

    def _note(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or not is_a_crash(error):
            self.unexpected.append(f"{context.get('message')}: {error!r}")

    def time(self) -> float:
        return self.now

    def run_while(self, goes_on: Callable[[], bool]) -> None:
        """Run all others in the midst of one step of a process, which stands still there as a stopped program does."""
        standing, waiting = asyncio.current_task(self), len(self._ready)  # type: ignore[attr-defined]
        if standing is not None:
            asyncio.tasks._leave_task(self, standing)
        try:
            while goes_on():
                self._run_once()  # type: ignore[attr-defined]
        finally:
            if standing is not None:
                asyncio.tasks._enter_task(self, standing)
        # The turn in which this was called counts on as many callbacks as were waiting then.
        for _ in range(waiting - len(self._ready)):  # type: ignore[attr-defined]
            self._ready.append(events.Handle(lambda: None, (), self))  # type: ignore[attr-defined]

    def again(self, handles: list[asyncio.Handle]) -> None:
        """Run these next, in their order."""
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def _call_soon(self, callback: Any, args: Any, context: Any) -> asyncio.Handle:
        handle = _Held(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]  # typeshed ties the arguments to the callback
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = _HeldTimer(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def call_at_world(self, when: float, callback: Any, *args: Any) -> None:
        """A timer of the world around, whoever sets it."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, None)
        self.call_at(when, callback, *args, context=context)

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nothing is waited for."""


def _task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **more)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    context = more.get("context")
    fate = context.get(PROCESS) if context is not None else PROCESS.get()
    if fate is not None:
        fate.tasks.append(task)
    return task


def within(fate: Fate | None, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Run it as a task of that process; None: as one of the world around."""
    context = contextvars.copy_context()
    context.run(PROCESS.set, fate)
    return asyncio.get_running_loop().create_task(coroutine, context=context)


def call_within(fate: Fate, call: Callable[[], object]) -> None:
    """Call it as that process would."""
    contextvars.copy_context().run(lambda: (PROCESS.set(fate), call()))
