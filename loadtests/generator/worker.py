"""A process full of users, led by the master."""

from typing import Any

from locust import runners
from locust.env import Environment

from loadtests.generator import connections, transport
from loadtests.generator.paced import Journey, PacedUser
from loadtests.generator.recording import Recorder
from loadtests.generator.users import users_of
from loadtests.run import messages as orders
from loadtests.run.plan import Plan

REPORT_SECONDS = 1.0


def _on_token(msg: Any, **_: Any) -> None:
    transport.show(msg.data)


def run(plan: Plan, address: str) -> None:
    """Connect to the master at ``host:port``, and do as it says until it says that it is over."""
    host, _, port = address.rpartition(":")
    runners.WORKER_REPORT_INTERVAL = REPORT_SECONDS
    connections.keep()
    environment: Any = Environment(user_classes=[users_of(plan)], host=plan.host)
    runner: Any = environment.create_worker_runner(host, int(port))
    runner.register_message(orders.TOKEN, _on_token)
    recorder = Recorder(runner.client_id[-12:])
    recorder.attach(environment)
    PacedUser.journey = Journey(plan, recorder)
    runner.greenlet.join()  # ends with the master's word, or a minute after it went silent
