"""What can be switched on the local Ottu while it runs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

KeyStored = Literal["begin", "success", "never"]


class Settings(BaseModel):
    """All of it may be assigned at any time; a wrong value is refused (pydantic's ValidationError)."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, strict=True)

    # Ottu's texts disagree on when a Tracking-Key is stored: "when initiating an operation", or on success.
    # `never` is a gateway that ignores keys.
    key_stored: KeyStored = "begin"
    throttle: bool = True
    throttle_scale: float = Field(default=1.0, gt=0, le=10)  # multiplies every time of the inquiry's throttle
    children_retrievable: bool = False  # whether a refund can be retrieved as a payment can: Ottu's texts do not say
    webhook_url: str | None = Field(default=None, max_length=200)  # None: no webhooks
    webhook_key: str = Field(default="sandbox-webhook-key", max_length=200)
    webhook_delay_seconds: float = Field(default=0.0, ge=0, le=600)
    webhook_repeats: int = Field(default=0, ge=0, le=10)  # how often the same event comes again
    webhook_timeout_seconds: float = Field(default=15.0, gt=0, le=60)  # Ottu waits 15 seconds for the answer
    permissions: frozenset[str] | None = None  # of the Basic user: {"refund", …}; None is all. An API key may do all
