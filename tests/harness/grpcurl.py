"""grpcurl, which knows of a server what its reflection tells: a client with no code of ours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap.checkout import find_checkout
from bootstrap.tools import GRPCURL, tool_path

SECONDS = 30
"""In which a call is over, a stream aside."""
_STATUS = 64
"""Added to the code of a status that is not OK, for the code that grpcurl exits with."""


@dataclass(frozen=True)
class Answer:
    """code: of the status, 0 is OK. messages: what came, as JSON with the contract's names.
    error: the status as JSON, of one that is not OK."""

    code: int
    messages: list[Any]
    error: Any = None

    @property
    def only(self) -> Any:
        """The message of a call that answers once, and did."""
        assert self.code == 0, self.error
        [message] = self.messages
        return message

    @property
    def details(self) -> dict[str, Any]:
        """Of the error, by the name of their kind without its package."""
        return {one["@type"].rpartition(".")[2]: one for one in self.error["details"]}


@dataclass(frozen=True)
class Grpcurl:
    """For one server. bearer: the Authorization of every call; ca: what its certificate is verified
    with, for the name in it; None: without TLS."""

    address: str
    bearer: str | None = None
    ca: Path | None = None
    name: str = "localhost"

    def services(self) -> list[str]:
        """What the server has, by its reflection."""
        return self._said("list").split()

    def described(self, symbol: str) -> str:
        """A service, method or message, as a contract would declare it."""
        return self._said("describe", symbol)

    def call(self, method: str, **request: Any) -> Answer:
        """A call with a request as JSON. A stream is over when the server ends it."""
        given = json.dumps(request)
        options = ("-format-error", "-max-time", str(SECONDS), "-d", given)
        done = self._run(*options, self.address, method)
        if done.returncode == 0:
            return Answer(0, _messages(done.stdout))
        assert done.returncode > _STATUS, f"grpcurl asked nothing: {done.stderr}"
        error = json.loads(done.stderr)
        assert error["code"] == done.returncode - _STATUS
        return Answer(error["code"], _messages(done.stdout), error)

    @contextmanager
    def stream(self, method: str, **request: Any) -> Iterator[Iterator[Any]]:
        """The messages of a stream as they come, until the block is left."""
        given = ("-max-time", str(SECONDS), "-d", json.dumps(request))
        with subprocess.Popen(
            self._command(*given, self.address, method),
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield self._as_they_come(process)
            finally:
                process.kill()

    def _as_they_come(self, process: subprocess.Popen[str]) -> Iterator[Any]:
        assert process.stdout is not None
        assert process.stderr is not None
        message = ""
        for line in process.stdout:
            message += line
            # Written with an indent, so only the last line of a message is this.
            if line.rstrip() in ("}", "{}"):
                yield json.loads(message)
                message = ""
        raise AssertionError(f"the stream has ended: {process.stderr.read()}")

    def _said(self, *command: str) -> str:
        done = self._run("-max-time", str(SECONDS), self.address, *command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*arguments),
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
            check=False,
        )

    def _command(self, *arguments: str) -> list[str]:
        binary = tool_path(find_checkout(), GRPCURL)
        assert binary.exists(), "grpcurl is not built yet: run make images"
        way = ("-plaintext",) if self.ca is None else ("-cacert", str(self.ca))
        named = () if self.ca is None else ("-servername", self.name)
        # By way of the environment: what is said in the command everybody on the machine can read.
        shown = ("-expand-headers", "-rpc-header", "authorization: ${BEARER}")
        return [str(binary), *way, *named, *(shown if self.bearer else ()), *arguments]

    def _environment(self) -> Mapping[str, str]:
        # Nothing of the environment's proxies: it is a port of this machine.
        kept: Mapping[str, str] = os.environ | {"NO_PROXY": "*", "no_proxy": "*"}
        return {**kept, "BEARER": self.bearer} if self.bearer else kept


def _messages(text: str) -> list[Any]:
    """JSON values one after another."""
    decoder, found, text = json.JSONDecoder(), list[Any](), text.lstrip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found
