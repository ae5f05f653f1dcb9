"""Passwords of a real Kafka cluster's users, replaced while a client works."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from services.provision.kafka import provision
from services.provision.kafka_logins import check, other
from services.provision.spec import KafkaSpec, Mechanism, PreviousSpec, ProvisionError, UserSpec
from services.shared.kafka.clients import producer_config
from tests.integration.kafka_container import TOPICS, KafkaServer

USER = "rotating"
REFUSED = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)


@dataclass
class Account:
    """A user, and what the stack file says of its password."""

    server: KafkaServer
    generations: list[Path] = field(default_factory=list[Path])
    accepted: bool | None = None

    def begin(self) -> None:
        self.generations.append(self.server.authority.secret(USER))
        self.accepted = True if len(self.generations) > 1 else None

    def mechanism(self, generation: int) -> Mechanism:
        return "SCRAM-SHA-256" if generation % 2 else "SCRAM-SHA-512"

    def spec(self) -> KafkaSpec:
        *_, current = self.generations
        previous = None
        if self.accepted is not None:
            previous = PreviousSpec(password_file=self.generations[-2], accepted=self.accepted)
        user = UserSpec(
            name=USER,
            password_file=current,
            mechanism=self.mechanism(len(self.generations) - 1),
            previous=previous,
            produce=[TOPICS[0]],
        )
        return self.server.spec(users=[user])

    def alone(self) -> KafkaSpec:
        """For who has seconds for all passwords together: those of others take theirs first."""
        spec = self.spec()
        return spec.model_copy(update={"users": [one for one in spec.users if one.name == USER]})

    def provision(self) -> None:
        provision(self.spec(), wait_seconds=30)

    def producer(self, generation: int, **changes: Any) -> Producer:
        """As a pod that was started with that generation's Secret."""
        self.server.passwords[USER] = self.generations[generation]
        self.server.mechanism(USER, self.mechanism(generation))
        settings = self.server.settings(USER)
        settings.mechanism_file.write_text(self.mechanism(generation))
        config = producer_config(settings, USER, message_timeout_ms=60_000)
        return Producer(config | changes)

    def works(self, generation: int) -> bool:
        """Who is refused, and not let in soon after, is not: its message would wait for long."""
        answers: list[KafkaError | None] = []
        refused: list[float] = []

        def note(error: KafkaError) -> None:
            if error.code() in REFUSED:
                refused.append(time.monotonic())

        producer = self.producer(generation, error_cb=note)
        producer.produce(TOPICS[0], value=b"x", on_delivery=lambda error, _: answers.append(error))
        while not answers and not (refused and time.monotonic() > refused[0] + 5):
            producer.poll(0.1)
        return answers == [None]


def deliver(producer: Producer) -> KafkaError | None:
    answers: list[KafkaError | None] = []
    producer.produce(TOPICS[0], value=b"x", on_delivery=lambda error, _: answers.append(error))
    producer.flush(90)
    (answer,) = answers
    return answer


@pytest.fixture
def account(kafka_server: KafkaServer) -> Iterator[Account]:
    made = Account(kafka_server)
    made.begin()
    made.provision()
    yield made
    provision(kafka_server.spec(), wait_seconds=30)


class Pod:
    """A process that was started with one generation, and sends all the while."""

    def __init__(self, account: Account, generation: int) -> None:
        self._producer = account.producer(generation)
        self._over = threading.Event()
        self.failed: list[KafkaError] = []
        self.sent = 0
        self._thread = threading.Thread(target=self._send)

    def _send(self) -> None:
        while not self._over.wait(0.05):
            error = deliver(self._producer)
            if error is not None:
                self.failed.append(error)
            self.sent += 1

    def __enter__(self) -> Pod:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(90)


def test_a_password_is_replaced_while_pods_work_and_the_old_one_is_dead(account: Account) -> None:
    for newest in (1, 2):
        with contextlib.ExitStack() as running:
            with Pod(account, newest - 1) as before:
                account.begin()
                account.provision()
                assert (account.works(newest - 1), account.works(newest)) == (True, True)
                after = running.enter_context(Pod(account, newest))
            account.accepted = False
            account.provision()
            account.accepted = None
            account.provision()
            assert (account.works(newest - 1), account.works(newest)) == (False, True)
        assert before.sent
        assert after.sent
        assert not before.failed + after.failed


def test_every_phase_can_be_done_again(account: Account) -> None:
    account.begin()
    for accepted in (True, True, False, False, None, None):
        account.accepted = accepted
        account.provision()
    assert (account.works(0), account.works(1)) == (False, True)


def test_a_job_that_was_killed_half_way_is_done_by_the_next(
    account: Account, tmp_path: Path
) -> None:
    account.begin()
    spec = tmp_path / "spec.json"
    # Where no password can be tried, so that it is not done before it is killed.
    nowhere = account.spec().model_copy(update={"client_servers": "localhost:1"})
    spec.write_text(nowhere.model_dump_json())
    command = [sys.executable, "-m", "services.provision", "kafka", "--spec", str(spec)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as job:
        assert job.stdout is not None
        for line in job.stdout:
            if b'"users_set"' in line:  # among what the client's library may have to say
                job.send_signal(signal.SIGKILL)
                break
        assert job.wait(30) == -signal.SIGKILL
    assert account.works(0)
    account.provision()
    assert (account.works(0), account.works(1)) == (True, True)


def test_passwords_that_nobody_could_try_are_no_success(account: Account) -> None:
    nowhere = account.spec().model_copy(update={"client_servers": "localhost:1"})
    with pytest.raises(ProvisionError, match="localhost:1: did not answer '"):
        check(nowhere, seconds=2)


def test_a_password_that_should_count_and_does_not_is_reported(account: Account) -> None:
    account.begin()
    with pytest.raises(ProvisionError, match="refuses 'rotating' with its password for SCRAM-SHA-"):
        check(account.alone(), seconds=10)


def test_a_password_that_should_be_dead_and_is_not_is_reported(account: Account) -> None:
    account.begin()
    account.provision()
    account.accepted = False
    with pytest.raises(ProvisionError, match="still accepts 'rotating' with its password for"):
        check(account.alone(), seconds=10)


def test_the_two_mechanisms_take_turns() -> None:
    assert other(other("SCRAM-SHA-512")) == "SCRAM-SHA-512" != other("SCRAM-SHA-512")
