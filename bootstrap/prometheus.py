"""Prometheus' HTTP API, as far as pages, reports and `make status` need it, and where it is."""

import json
import math
import ssl
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from bootstrap.kube import Kube

NAMESPACE: Final = "monitoring"
MOST_SERIES: Final = 200
"""Of one answer: a label with too many values must not fill the page, or this process."""
MOST_BYTES: Final = 32 * 1024 * 1024
_ANSWER_SECONDS: Final = 20.0
_CONNECT_SECONDS: Final = 5.0
_BUNDLE: Final = "millrace-ca"


class AwayError(Exception):
    """Nobody answers there, or not like Prometheus."""


class QueryError(Exception):
    """Prometheus refused or gave up this one query; the message is its own."""


@dataclass(frozen=True)
class Where:
    """Its URL, and in PEM the CAs that its certificate must lead to; None: the machine's."""

    url: str
    ca: str | None = None

    def client(self) -> httpx.Client:
        """For the caller to close. Nothing of the environment goes into it: a proxy is not on the
        way to this machine's own ports."""
        trust = ssl.create_default_context(cadata=self.ca) if self.ca else True
        return httpx.Client(base_url=self.url, trust_env=False, verify=trust)


def published(kube: Kube, timeout: float = 60) -> Where:
    """At this machine's port for it, of the cluster that this checkout made.

    Raises:
        KubeError: the cluster did not say within so many seconds which CA it has.
    """
    return Where(f"https://localhost:{kube.checkout.port('prometheus')}", trusted(kube, timeout))


def trusted(kube: Kube, timeout: float = 60) -> str:
    """The CA's certificates. Raises KubeError."""
    found = kube.json("get", "configmap", _BUNDLE, "-n", NAMESPACE, timeout=timeout)
    return str(found["data"]["ca.crt"])


@dataclass(frozen=True)
class Grid:
    """The moments that are asked for: the first in seconds since 1970, and so many steps on."""

    start: int
    step: int
    count: int

    @property
    def times(self) -> Sequence[int]:
        return range(self.start, self.start + self.step * self.count, self.step)

    @property
    def end(self) -> int:
        return self.start + self.step * (self.count - 1)


@dataclass(frozen=True)
class Series:
    """Labels, and a value for each moment of the grid: None where there is none."""

    labels: Mapping[str, str]
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Sample:
    """Labels, and the value at one moment."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Answer:
    """How many values were no numbers (0/0), and how many infinite (x/0): both are None."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()
    undefined: int = 0
    infinite: int = 0


@dataclass(frozen=True)
class Firing:
    """An alert that fires."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    since: str


class Prometheus:
    """One server. The caller closes the client.

    ``within``: seconds from now on for all that is asked; None: each question has its own time.
    """

    def __init__(self, http: httpx.Client, within: float | None = None) -> None:
        self._http = http
        self._within = within
        self._until = math.inf if within is None else time.monotonic() + within

    def time(self) -> float:
        """By its clock, in seconds since 1970; also, whether it is there at all.

        Raises:
            AwayError: it is not.
        """
        try:
            return float(self._get("query", {"query": "time()"})["result"][1])
        except (QueryError, KeyError, IndexError, TypeError, ValueError) as error:
            raise AwayError(
                f"{self._http.base_url} answers, but not as Prometheus: {error}"
            ) from None

    def names(self) -> frozenset[str]:
        """Of all metrics it has. Raises AwayError, QueryError."""
        return frozenset(self._get("label/__name__/values", {}))

    def firing(self) -> tuple[Firing, ...]:
        """Alerts that fire now. Raises AwayError, QueryError."""
        return tuple(
            Firing(one["labels"], one.get("annotations", {}), str(one.get("activeAt", "")))
            for one in self._get("alerts", {})["alerts"]
            if one["state"] == "firing"
        )

    def now(self, expr: str, at: float | None = None) -> tuple[Sample, ...]:
        """The value of each series, by its clock or at a moment in seconds since 1970.

        What is no number (0/0) or infinite is left out. Raises AwayError, QueryError.
        """
        asked = {"query": expr, "limit": str(MOST_SERIES)}
        data = self._get("query", asked if at is None else asked | {"time": f"{at:.3f}"})
        if data.get("resultType") != "vector":
            raise QueryError(f"the answer is a {data.get('resultType')}, not series")
        found = (Sample(dict(one["metric"]), float(one["value"][1])) for one in data["result"])
        return tuple(one for one in found if math.isfinite(one.value))

    def range(self, expr: str, grid: Grid) -> Answer:
        """A value of each series at each moment of the grid.

        Raises:
            AwayError: nobody answers any more.
            QueryError: this query cannot be answered.
        """
        asked = {
            "query": expr,
            "start": str(grid.start),
            "end": str(grid.end),
            "step": str(grid.step),
            "limit": str(MOST_SERIES),  # servers before 3.0 do not know it, and give all
        }
        said = self._ask("query_range", asked)
        data = said["data"]
        if data.get("resultType") != "matrix":
            raise QueryError(f"the answer is a {data.get('resultType')}, not series over time")
        taken = data["result"][:MOST_SERIES]
        odd = Counter(text.lstrip("+-") for one in taken for _, text in one.get("values", ()))
        warnings = [str(one) for one in said.get("warnings", ())]
        if len(data["result"]) > MOST_SERIES:
            warnings.append(f"{len(data['result'])} series; only {MOST_SERIES} were looked at")
        found = tuple(_series(one, grid) for one in taken)
        return Answer(found, tuple(warnings), undefined=odd["NaN"], infinite=odd["Inf"])

    def _get(self, path: str, asked: Mapping[str, str]) -> Any:
        return self._ask(path, asked)["data"]

    def _ask(self, path: str, asked: Mapping[str, str]) -> dict[str, Any]:
        left = self._left()
        timeout = httpx.Timeout(min(left, _ANSWER_SECONDS), connect=min(left, _CONNECT_SECONDS))
        try:
            with self._http.stream(
                "GET", f"/api/v1/{path}", params=dict(asked), timeout=timeout
            ) as answer:
                body = self._read(answer)
        except httpx.ReadTimeout:
            raise QueryError(f"no answer within {self._within or _ANSWER_SECONDS:g} s") from None
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise AwayError(f"{self._http.base_url} does not answer: {why}") from None
        try:
            said: Any = json.loads(body)
        except ValueError:
            said = None
        if not isinstance(said, dict) or "status" not in said:
            raise AwayError(
                f"{self._http.base_url} answers with {answer.status_code}, but not as Prometheus"
            )
        if said["status"] != "success":  # pyright: ignore[reportUnknownArgumentType]
            raise QueryError(f"{said.get('errorType', 'error')}: {said.get('error', '')}")  # pyright: ignore[reportUnknownMemberType]
        return said  # pyright: ignore[reportUnknownVariableType]

    def _read(self, answer: httpx.Response) -> bytes:
        body = bytearray()
        for part in answer.iter_bytes():
            body += part
            self._left()
            if len(body) > MOST_BYTES:
                raise QueryError(f"the answer is larger than {MOST_BYTES // 1024**2} MiB")
        return bytes(body)

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise QueryError(f"no answer within {self._within:g} s")
        return left


def _series(said: Mapping[str, Any], grid: Grid) -> Series:
    values: list[float | None] = [None] * grid.count
    for moment, text in said.get("values", ()):
        place = round((float(moment) - grid.start) / grid.step)
        value = float(text)  # "NaN" and "+Inf" as well
        if 0 <= place < grid.count and math.isfinite(value):
            values[place] = value
    return Series(dict(said["metric"]), tuple(values))
