"""Passwords of a real Redis server, replaced while a client works."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from components.kit import paths
from components.servers.redis import config as redis_config
from services.provision.redis import provision
from services.provision.spec import CredentialSpec, PreviousSpec, ProvisionError, RedisSpec
from services.shared.redis.client import client
from services.shared.runtime.settings import RedisSettings
from tests.integration.containers import Container, Containers, File
from tests.integration.redis_users import redis_user
from tests.integration.servers import REDIS_UID, Authority, eventually, run_redis

SERVICE = "rest-service"
ACL = f"{redis_config.ACL_PATH}/users.acl"
READY = f"{redis_config.CONFIG_PATH}/ready.sh"


@dataclass
class Login:
    """One user: what the program generates, and what is mounted of it."""

    name: str
    folder: Path
    generations: list[str] = field(default_factory=lambda: [secrets.token_hex(16)])
    accepted: bool | None = None
    """What the stack file says of the previous one; None: nothing."""

    def begin(self) -> None:
        self.generations.append(secrets.token_hex(16))
        self.accepted = True

    @property
    def known(self) -> list[str]:
        """What the ACL file knows."""
        return self.generations[-2:] if self.accepted else self.generations[-1:]

    def file(self, password: str) -> Path:
        path = self.folder / f"{self.name}-{password}"
        path.write_text(password)
        return path

    def spec(self) -> CredentialSpec:
        previous = None
        if self.accepted is not None:
            previous = PreviousSpec(
                password_file=self.file(self.generations[-2]), accepted=self.accepted
            )
        return CredentialSpec(
            name=self.name, password_file=self.file(self.generations[-1]), previous=previous
        )


@dataclass
class Stack:
    """A server, and the users that the stack file asks for."""

    container: Container
    authority: Authority
    users: dict[str, Login]

    def settings(self, name: str, password_file: Path) -> RedisSettings:
        return RedisSettings(
            host="localhost",
            port=self.container.ports[6379],
            username=name,
            password_file=password_file,
            ca_file=self.authority.ca_file,
        )

    def lines(self) -> list[str]:
        return lines(self.users)

    def mount(self) -> None:
        """What Kubernetes does by and by: the files in the pod are those of the Secrets."""
        held = {
            f"{folder}/{name}": password
            for folder, user in (
                (redis_config.HEALTH_PATH, redis_config.HEALTH_USER),
                (redis_config.OPERATOR_PATH, redis_config.OPERATOR),
            )
            for name, password in zip(
                ("password", "previous"), reversed(self.users[user].generations[-2:]), strict=False
            )
        }
        self.container.put(
            {ACL: File(redis_config.acl_file(self.lines()).encode(), 0o600, REDIS_UID)}
            | {path: File(text.encode(), 0o600, REDIS_UID) for path, text in held.items()}
        )

    def spec(self) -> RedisSpec:
        others = [user.spec() for name, user in self.users.items() if name == SERVICE]
        return RedisSpec(
            host="localhost",
            port=self.container.ports[6379],
            ca_file=self.authority.ca_file,
            operator=self.users[redis_config.OPERATOR].spec(),
            acl=redis_config.acl_version(self.lines()),
            users=others,
        )

    async def provision(self, follow_seconds: float = 30) -> None:
        await provision(self.spec(), wait_seconds=30, follow_seconds=follow_seconds)

    async def accepts(self, name: str, password: str) -> bool:
        one = client(self.settings(name, self.users[name].file(password)), timeout=30)
        try:
            await one.ping()
        except AuthenticationError:
            return False
        finally:
            await one.aclose()
        return True

    async def restart(self) -> None:
        self.container.stop()
        self.container.start()
        await eventually(self.answers)

    async def answers(self) -> bool:
        try:
            await self.accepts(SERVICE, "none")
        except (RedisError, OSError):  # its time-out is no ConnectionError
            return False
        return True

    def ready(self) -> bool:
        return self.container.ask("sh", READY)[0] == 0


def lines(users: dict[str, Login]) -> list[str]:
    known = {name: user.known for name, user in users.items()}
    own = redis_user(SERVICE, "redis-cache", "")
    rights = own.split(" ~", 1)[1]
    service = redis_config.user_line(SERVICE, known[SERVICE], (), ()).split(" -@all", 1)[0]
    return [
        redis_config.operator_line(known[redis_config.OPERATOR]),
        redis_config.user_line(redis_config.HEALTH_USER, known[redis_config.HEALTH_USER], (), ()),
        f"{service} ~{rights}",
    ]


@pytest.fixture
async def stack(
    containers: Containers, authority: Authority, tmp_path: Path
) -> AsyncIterator[Stack]:
    names = (redis_config.HEALTH_USER, redis_config.OPERATOR, SERVICE)
    users = {name: Login(name, tmp_path) for name in names}
    conf = redis_config.redis_conf(
        max_memory_bytes=64 * 2**20, eviction="allkeys-lru", append_fsync=None
    )
    health, operator = (
        File(users[name].generations[0].encode(), 0o600, REDIS_UID)
        for name in (redis_config.HEALTH_USER, redis_config.OPERATOR)
    )
    container = run_redis(
        containers,
        authority,
        f"redis-provision-{secrets.token_hex(3)}",
        conf,
        lines(users),
        {
            READY: File(redis_config.probe_script().encode()),
            f"{redis_config.HEALTH_PATH}/password": health,
            f"{redis_config.OPERATOR_PATH}/password": operator,
        },
    )
    made = Stack(container, authority, users)
    await eventually(made.answers)
    yield made
    container.stop()


class Worker:
    """A service: a pool of connections that live on, and a new one for every round; it reads its
    password from its file."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.file = folder / "mounted"
        self.hold(stack.users[SERVICE].generations[-1])
        self._settings = stack.settings(SERVICE, self.file)
        self.pool = client(self._settings, timeout=30)
        self.rounds = 0
        self._task = asyncio.create_task(self._work())

    def hold(self, password: str) -> None:
        """What the Secret of its namespace says from now on."""
        new = self.file.with_suffix(".new")
        new.write_text(password)
        new.replace(self.file)

    async def _work(self) -> None:
        while True:
            await self.pool.set("resource:1", self.rounds)
            fresh = client(self._settings, timeout=30)
            assert await fresh.get("resource:1") == str(self.rounds).encode()
            await fresh.aclose()
            self.rounds += 1

    async def goes_on(self) -> None:
        """Ten rounds more; raises what went wrong in it."""
        wanted = self.rounds + 10

        async def enough() -> bool:
            if self._task.done():
                self._task.result()
            return self.rounds >= wanted

        await eventually(enough)

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.pool.aclose()


async def test_every_password_is_replaced_while_a_client_works_and_the_old_one_is_dead(
    stack: Stack, tmp_path: Path
) -> None:
    worker = Worker(stack, tmp_path)
    await worker.goes_on()
    for user in stack.users.values():
        user.begin()
    stack.mount()
    assert stack.ready(), "before the server has read it, by the previous password"
    await stack.provision()
    assert stack.ready()
    await worker.goes_on()
    worker.hold(stack.users[SERVICE].generations[1])
    await worker.goes_on()
    for user in stack.users.values():
        user.accepted = False
    stack.mount()
    await stack.provision()
    await worker.goes_on()
    await worker.stop()
    assert stack.ready()
    for user in stack.users.values():
        assert [await stack.accepts(user.name, one) for one in user.generations] == [False, True]
    assert stack.container.logs().count("Ready to accept connections") == 1


async def test_a_server_that_starts_again_at_any_moment_accepts_what_clients_use(
    stack: Stack,
) -> None:
    user = stack.users[SERVICE]
    old = user.generations[0]

    async def fine(*used: str) -> None:
        await stack.restart()
        assert [await stack.accepts(SERVICE, one) for one in used] == [True] * len(used)

    user.begin()
    new = user.generations[1]
    await fine(old)  # the Secret is new, its file is not there yet
    stack.mount()
    await fine(old, new)  # the file is there, and the Job is not
    await stack.provision()
    await fine(old, new)  # clients change one by one
    user.accepted = False
    await fine(old, new)
    stack.mount()
    await fine(new)
    await stack.provision()


async def test_the_file_is_waited_for_and_what_the_server_knew_counts_meanwhile(
    stack: Stack,
) -> None:
    user = stack.users[SERVICE]
    user.begin()
    waiting = asyncio.create_task(stack.provision())
    done, _ = await asyncio.wait({waiting}, timeout=2)
    assert not done
    assert [await stack.accepts(SERVICE, one) for one in user.generations] == [True, False]
    stack.mount()
    await waiting
    assert [await stack.accepts(SERVICE, one) for one in user.generations] == [True, True]


async def test_what_was_interrupted_is_done_by_running_it_again(stack: Stack) -> None:
    for user in stack.users.values():
        user.begin()
    interrupted = asyncio.create_task(stack.provision())
    await asyncio.wait({interrupted}, timeout=1)
    interrupted.cancel()
    stack.mount()
    await stack.provision()
    await stack.provision()
    for user in stack.users.values():
        assert [await stack.accepts(user.name, one) for one in user.generations] == [True, True]


async def test_a_file_that_never_comes_and_one_that_cannot_be_read_change_nothing(
    stack: Stack,
) -> None:
    user = stack.users[SERVICE]
    user.begin()
    with pytest.raises(ProvisionError, match=r"is not acl-\w+ after 1 s"):
        await stack.provision(follow_seconds=1)
    stack.container.put({ACL: File(b"user somebody +nonsense\n", 0o600, REDIS_UID)})
    with pytest.raises(ProvisionError, match="goes by those of before"):
        await stack.provision()
    assert [await stack.accepts(SERVICE, one) for one in user.generations] == [True, False]


async def test_a_password_that_should_be_dead_and_is_not_is_reported(stack: Stack) -> None:
    user = stack.users[SERVICE]
    user.begin()
    stack.mount()
    spec = stack.spec()
    user.accepted = False
    # Users with both, and a Job that believes the old one to be gone.
    wrong = spec.model_copy(update={"users": [user.spec()]})
    with pytest.raises(ProvisionError, match="still accepts the previous password of 'rest-"):
        await provision(wrong, wait_seconds=30, follow_seconds=30)


async def test_an_operator_whom_the_server_does_not_know_is_told_the_way_out(stack: Stack) -> None:
    operator = stack.users[redis_config.OPERATOR]
    operator.generations.append("unheard of")
    with pytest.raises(ProvisionError, match=r"refuses every password of 'operator'.*restart it"):
        await stack.provision()


async def test_the_operator_has_files_read_and_can_do_nothing_else(stack: Stack) -> None:
    operator = stack.users[redis_config.OPERATOR]
    own = client(stack.settings(operator.name, operator.file(operator.generations[0])), timeout=30)
    for forbidden in (
        ("ACL SETUSER", "operator", "+@all"),
        ("ACL GETUSER", "operator"),
        ("GET", "resource:1"),
        ("CONFIG GET", "*"),
        ("SHUTDOWN",),
    ):
        with pytest.raises(NoPermissionError):
            await own.execute_command(*forbidden)
    for protected in ("aclfile", "dir"):
        with pytest.raises(ResponseError, match="CONFIG SET failed"):
            await own.execute_command("CONFIG SET", protected, "/tmp/other")
    # The certificates, read again though their names are the same.
    files = ("cert-file", "tls.crt"), ("key-file", "tls.key"), ("ca-cert-file", "ca.crt")
    named = [word for key, name in files for word in (f"tls-{key}", f"{paths.TLS}/{name}")]
    await own.execute_command("CONFIG SET", *named)
    await own.aclose()
