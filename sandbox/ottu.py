"""A local Ottu: the three calls that the bot makes, behaving as Ottu's documentation says, or stricter.

`create_ottu()` gives an `OttuSandbox`: its `.app` is the Starlette app, its methods are the control that tests use
without HTTP. The same control stands under `/_control/ottu/` (see `ottu_control`). Where Ottu's texts are silent or
disagree, the sandbox takes the reading that is worse for the caller, or both in turn (`Settings.key_stored`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from sandbox.ledger import Ledger
from sandbox.ottu_answers import INITIATOR, Performed, external
from sandbox.ottu_api import Api, Received, plain_error
from sandbox.ottu_book import Book, Transaction
from sandbox.ottu_control import control_routes
from sandbox.ottu_faults import Fault, FaultQueue
from sandbox.ottu_inquiry import Throttle
from sandbox.ottu_operations import Operations
from sandbox.ottu_requests import ApiError, Lookup, read_operation
from sandbox.ottu_settings import Settings
from sandbox.ottu_webhooks import Webhooks

MOST_REQUESTS_KEPT = 10_000
Source = Literal["input", "pg"]
Settled = Literal["refunded", "refund_rejected"]


def create_ottu(
    *,
    api_key: str = "sandbox-api-key",
    username: str | None = None,
    password: str | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    settings: Settings | None = None,
) -> OttuSandbox:
    """A local Ottu without payments. `clock` gives the time in UTC; delays always take real time."""
    basic = None if username is None or password is None else (username, password)
    return OttuSandbox(api_key, basic, clock, settings or Settings())


class OttuSandbox:
    """The state of one local Ottu, its app, and the control over it."""

    def __init__(
        self, api_key: str, basic: tuple[str, str] | None, clock: Callable[[], datetime], settings: Settings
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.book = Book()
        self.ledger = Ledger()
        self.faults = FaultQueue()
        self.webhooks = Webhooks(settings, clock)
        self.requests: deque[Received] = deque(maxlen=MOST_REQUESTS_KEPT)
        self.operations = Operations(self.book, self.ledger, settings, clock)
        self.throttle = Throttle(settings, clock)
        self.app = self._app(Api(self, api_key, basic))

    def create(
        self,
        order_no: str,
        amount: str,
        currency: str,
        state: str = "paid",
        *,
        age_seconds: float = 3600.0,
        **more: Any,
    ) -> Transaction:
        """Make a payment, `age_seconds` old; `more` are fields of `Transaction`. ValueError when it is refused."""
        created_at = self.clock() - timedelta(seconds=age_seconds)
        fields = {
            "order_no": order_no,
            "amount": amount,
            "currency": currency,
            "state": state,
            "created_at": created_at,
        }
        return self.book.add(Transaction.model_validate({**fields, **more}))

    def fault(self, kind: str, **fields: Any) -> Fault:
        """Let the next calls meet a fault: see `Fault`. ValueError when it is refused."""
        return self.faults.add(Fault.model_validate({"kind": kind, **fields}))

    def configure(self, **changes: Any) -> Settings:
        """Change settings, all of them or none. ValueError when one is refused."""
        Settings.model_validate({**self.settings.model_dump(), **changes})
        for name, value in changes.items():
            setattr(self.settings, name, value)
        return self.settings

    async def dashboard(
        self,
        operation: str,
        reference: str,
        amount: str | None = None,
        *,
        destination: str = "pg",
        source: Source = "input",
    ) -> dict[str, object]:
        """Somebody else does an operation, in Ottu's dashboard (`input`) or in the gateway's own (`pg`).

        `reference` is a session id or an order number. The answer's body; ValueError when it is refused.
        """
        if source not in get_args(Source):
            raise ValueError(f"a source is one of {get_args(Source)}")
        by_session = self.book.find(session_id=reference)
        lookup = Lookup(session_id=reference) if by_session else Lookup(order_no=reference)
        body = {"operation": operation, "amount": amount, "destination": destination, **asdict(lookup)}
        try:
            answer, performed = await self.operations.perform(
                read_operation(body), initiator=INITIATOR if source == "input" else None, source=source
            )
        except ApiError as error:
            raise ValueError(str(error)) from error
        self.notify(performed)
        return answer

    def settle_queued(
        self,
        session_id: str,
        child_session_id: str | None = None,
        state: Settled = "refunded",
    ) -> Performed:
        """The bank decides a queued refund (without a child's id: the oldest), and Ottu sends the webhook."""
        if state not in get_args(Settled):
            raise ValueError(f"a queued refund becomes one of {get_args(Settled)}")
        performed = self.operations.settle(session_id, child_session_id, state)
        self.notify(performed)
        return performed

    def notify(self, performed: Performed | None) -> None:
        """Send the webhook of what was performed, where webhooks are on."""
        if performed is not None and self.settings.webhook_url is not None:
            self.webhooks.send(self.settings.webhook_url, external(performed, self.settings.webhook_key))

    async def close(self) -> None:
        """Give up the webhooks that are still to be sent. Whoever mounts the app calls this at the end."""
        await self.webhooks.close()

    def _app(self, api: Api) -> Starlette:
        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            await self.close()

        app = Starlette(
            routes=[*api.routes(), *control_routes(self)],
            lifespan=lifespan,
            exception_handlers={HTTPException: plain_error},
        )
        app.router.redirect_slashes = False  # Starlette's 307 keeps the body; Ottu's 301 does not
        return app


def seed_demo(sandbox: OttuSandbox) -> None:
    """The payments that the demo and its page speak of, all of them older than the inquiry's ten minutes."""
    sandbox.create("ORD123", "20.000", "KWD", "paid")
    sandbox.create("AUTH7", "12.500", "KWD", "authorized")
    sandbox.create("LINK9", "7.250", "KWD", "created")
    sandbox.create("USD55", "49.99", "USD", "paid")
    sandbox.create("JPY100", "1000", "JPY", "paid")
    sandbox.create("Q42", "42.000", "KWD", "paid", refunds_queue=True)
