"""Users at a pace: one request at each turn, over one connection."""

import itertools
import random
import secrets
import time
from typing import ClassVar

from gevent.event import Event as Flag
from locust import FastHttpUser
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_STOPPING

from loadtests.generator.recording import Recorder
from loadtests.generator.transport import LocustTransport
from loadtests.pace import Pace
from loadtests.run.plan import Plan, hot_id

ANSWER_SECONDS = 30.0
"""How long a user waits for an answer: far beyond every target, so that late ones are measured."""

_PROCESS = secrets.token_hex(3)
_numbers = itertools.count()


class Journey:
    """What all users of a process share; set before the first of them comes."""

    def __init__(self, plan: Plan, recorder: Recorder) -> None:
        self.plan = plan
        self.recorder = recorder
        # Zipf's law: the second is read half as often as the first, the third a third as often.
        self.popularity = list(itertools.accumulate(1 / (n + 1) for n in range(plan.hot)))
        self.hot = [hot_id(plan.run, number) for number in range(plan.hot)]

    def popular(self) -> str:
        """The id of a document that everybody reads, popular ones more often."""
        return random.choices(self.hot, cum_weights=self.popularity)[0]  # noqa: S311


class PacedUser(FastHttpUser):
    """One request at each turn of its pace, and one request at a time, over one connection."""

    abstract = True
    journey: ClassVar[Journey]
    network_timeout = ANSWER_SECONDS
    connection_timeout = ANSWER_SECONDS
    concurrency = 1
    insecure = False
    """Locust's default trusts every certificate, which no user does."""

    def on_start(self) -> None:
        """Begin somewhere within the first turn: users that came together part here."""
        plan = self.journey.plan
        self.transport = LocustTransport(self.client)
        self.name = f"{plan.run}-{_PROCESS}{next(_numbers):x}"
        """Nobody else has it; ids of the user's own begin with it."""
        self.pace = Pace(1 / plan.pace)
        self._leaving = Flag()
        self.arrive(plan)
        self._rest(random.uniform(0, plan.pace))  # noqa: S311
        self.pace.delay(time.monotonic())

    def arrive(self, plan: Plan) -> None:
        """What a user of a kind begins with."""

    def wait_time(self) -> float:
        """Wait for the next turn here, and tell Locust that there is nothing to wait for."""
        self._rest(self.pace.delay(time.monotonic()))
        return 0.0

    def _rest(self, seconds: float) -> None:
        if self._leaving.wait(seconds):
            raise StopUser

    def stop(self, force: bool = False) -> bool:
        """Leave, but not in the middle of a request.

        Locust kills a user that waits for its turn, and should the turn come at that moment, it
        dies with a write on its way that nobody counts.
        """
        if force:
            return super().stop(force=True)
        self._state = LOCUST_STATE_STOPPING
        self._leaving.set()
        return False
