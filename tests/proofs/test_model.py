"""The short form of the proof by a model: few examples of the state machine, chosen by chance each time."""

from __future__ import annotations

from tests.proofs.model import Requests, with_examples

Requests.TestCase.settings = with_examples(15)
TestRequests = Requests.TestCase
