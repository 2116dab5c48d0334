"""The parts that decide and act, put together on one store. Time, identity and randomness are arguments."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from slack_sdk.web.async_client import AsyncWebClient

import ottu
from approvals.alarms import raise_alarm
from approvals.closing import Closing
from approvals.execution import Execution
from approvals.inquiries import Inquiries
from approvals.policy_in_force import InForce
from approvals.sentences import alarms, private
from approvals.service import Service
from approvals.store import Store
from approvals.work import Job, Work
from bot.delivery import CardStanding, Delivery
from bot.executing import Executing
from bot.homes import Homes
from bot.inbox import Inbox
from bot.inquire import Inquirer
from bot.marker import Marker
from bot.patience import Patience
from bot.people import People
from bot.processes import Others
from bot.reader import Reader
from bot.tasks import Tasks
from bot.worker import IDLE_SECONDS, Worker


@dataclass(frozen=True)
class Given:
    """What the parts take from outside: `new_id(length)` names requests, `new_key()` makes Tracking-Keys.

    `own_clock`: seconds, which nobody can set. `uniform` draws a number between two. `idle_seconds`: the worker looks
    at least so often for what another process has written.
    """

    new_id: Callable[[int], str]
    new_key: Callable[[], str]
    own_clock: Callable[[], float] = time.monotonic
    others: Others = field(default_factory=Others)
    uniform: Callable[[float, float], float] = random.uniform
    idle_seconds: float = IDLE_SECONDS


@dataclass(frozen=True)
class Parts:
    """What decides and acts."""

    people: People
    tasks: Tasks
    executing: Executing
    homes: Homes
    worker: Worker
    delivery: Delivery


def put_together(
    in_force: InForce,
    work: Work,
    client: AsyncWebClient,
    gateway: ottu.Client,
    marker: Marker,
    *,
    host: str,
    given: Given,
) -> Parts:
    """The parts on the work's store. Asks nothing of Slack or Ottu yet. `host`: of Ottu, as cards name it."""
    store = work.store
    reader = Reader(gateway, store, Inquiries(store, lambda: in_force.now.timing.inquiry_gap_seconds))
    service = Service(store, work, in_force, given.new_id)
    execution = Execution(store, work, in_force, given.new_key)
    people = People(client, given.own_clock)
    closing = Closing(service)
    delivery = Delivery(
        client,
        store,
        work,
        host=host,
        standing=CardStanding(execution, closing, reader.inquiries),
    )
    executing = Executing(execution, closing, reader, Patience(given.own_clock), marker, given.others)
    tasks = Tasks(service=service, execution=execution, reader=reader, people=people, delivery=delivery)
    homes = Homes(service=service, execution=execution, people=people, delivery=delivery)
    inbox = Inbox(
        service=service,
        execution=execution,
        closing=closing,
        is_settled=executing.is_settled,
        inquirer=Inquirer(in_force, reader),
        people=people,
        delivery=delivery,
    )
    worker = Worker(
        work,
        tasks.lanes(inbox, executing, homes, lambda: in_force.now.timing.parallel),
        gave_up=_gave_up(store, work, delivery),
        uniform=given.uniform,
        idle_seconds=given.idle_seconds,
    )
    return Parts(people, tasks, executing, homes, worker, delivery)


def _tells_of_one_given_up(store: Store, job: Job) -> bool:
    return job.kind == "alarm" and store.event(int(job.payload["seq"])).facts.get("why") == alarms.GAVE_UP


def _gave_up(store: Store, work: Work, delivery: Delivery) -> Callable[[Job], None]:
    def gave_up(job: Job) -> None:
        user = job.payload.get("user")
        with store.transaction():
            store.record("gave_up", "bot", data={"job": job.key})
            if user:
                delivery.answer_later(f"gave_up:{job.key}", str(user), private.WENT_WRONG)
            elif not _tells_of_one_given_up(store, job):  # else one after the other, for ever
                raise_alarm(store, work, alarms.GAVE_UP, {"job": job.key})

    return gave_up
