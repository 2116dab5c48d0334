"""The local Ottu's answers against the schemas that Ottu publishes, not against models of our own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sandbox.ottu import create_ottu, seed_demo
from tests.sandbox.ottu_caller import Caller, calling

PUBLISHED = json.loads((Path(__file__).parents[1] / "data" / "ottu-openapi.json").read_text("utf-8"))


def violations(answer: Any, schema: str) -> list[str]:
    """What is wrong with an answer, by the named schema of Ottu's OpenAPI file; formats are looked at too."""
    document = {**PUBLISHED, "$ref": f"#/components/schemas/{schema}"}
    validator = Draft202012Validator(document, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(answer)]


async def test_the_check_itself_finds_what_is_wrong() -> None:
    assert violations({"detail": "x", "operation": "refund"}, "OperationFailure")
    assert violations({"amount": "5.000"}, "PaymentOperationResponses")


@pytest.mark.parametrize(
    ("operation", "order_no", "schema"),
    [
        ("refund", "ORD123", "ExternalOperation"),
        ("refund", "USD55", "ExternalOperation"),
        ("refund", "JPY100", "ExternalOperation"),
        ("capture", "AUTH7", "ExternalOperation"),
        ("void", "AUTH7", "ExternalOperation"),
        ("cancel", "LINK9", "InternalOperation"),
        ("expire", "LINK9", "InternalOperation"),
        ("delete", "LINK9", "InternalOperation"),
    ],
)
async def test_every_operations_answer(operation: str, order_no: str, schema: str) -> None:
    sandbox = create_ottu(username="agent", password="made-up")
    seed_demo(sandbox)
    async with calling(sandbox) as caller:
        caller.http.auth = ("agent", "made-up")  # so that the initiator is there too
        answer = (await caller.operate(operation, order_no=order_no)).json()
    assert violations(answer, schema) == []
    assert violations(answer, "PaymentOperationResponses") == []


@pytest.mark.parametrize("kind", ["queued", "rejected", "failed"])
async def test_other_results_differ_from_the_schema_in_the_result_alone(kind: str) -> None:
    """Ottu's prose has `queued` and `rejected`; its schema lists only success and failed."""
    sandbox = create_ottu()
    seed_demo(sandbox)
    sandbox.fault(kind)
    async with calling(sandbox) as caller:
        answer = (await caller.operate("refund", order_no="ORD123")).json()
    assert violations({**answer, "result": "failed"}, "ExternalOperation") == []


async def test_every_state_of_an_inquiry() -> None:
    sandbox = create_ottu()
    sandbox.configure(throttle=False)
    async with calling(sandbox) as caller:
        for state in ("pending", "attempted", "failed", "expired", "paid", "authorized"):
            sandbox.create(state, "20.000", "KWD", state)
            assert violations((await caller.inquire(order_no=state)).json(), "SchemaWebhook") == []
        await caller.operate("refund", order_no="paid", amount="5.000")
        await caller.operate("capture", order_no="authorized", amount="5.000")
        for state in ("paid", "authorized"):
            answer = (await caller.inquire(order_no=state)).json()
            assert violations(answer, "SchemaWebhook") == []
            assert len(answer["transactions"]) == 1


async def refusals(caller: Caller) -> Mapping[str, list[Any]]:
    unknown = [(await caller.retrieve("0" * 40)).json(), (await caller.http.get("/b/pbl/v2/operation/")).json()]
    return {
        "FieldErrors": [
            (await caller.operate("refund", order_no="ORD123", amount="x")).json(),
            (await caller.inquire()).json(),
        ],
        "OperationFailure": [
            (await caller.operate("refund", order_no="ORD123", amount="500.000")).json(),
            (await caller.operate("void", order_no="ORD123")).json(),
            (await caller.operate("cancel", order_no="ORD123")).json(),
        ],
        "InquiryFailure": [(await caller.inquire(order_no="nothing")).json()],
        "GenericErrorMessage": unknown,
    }


async def test_every_refusal() -> None:
    """By the schema of its own: the published `oneOf` fits none, since FieldErrors takes any object."""
    sandbox = create_ottu()
    seed_demo(sandbox)
    async with calling(sandbox) as caller:
        for schema, answers in (await refusals(caller)).items():
            assert [violations(answer, schema) for answer in answers] == [[]] * len(answers)
