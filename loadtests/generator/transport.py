"""Carries the typed client's requests through Locust, which times and counts them."""

from collections.abc import Callable
from typing import Any, TypeVar

from loadtests.exchange import Reply, Request, RequestFailed
from loadtests.outcome import Outcome

T = TypeVar("T")

_shown: dict[str, str] = {}
_NEVER_SENT = (ConnectionRefusedError,)


def show(authorization: str) -> None:
    """Have every user of this process show it from now on."""
    _shown["Authorization"] = authorization


class LocustTransport:
    """Carries requests over one user's connection."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def exchange(self, request: Request, judge: Callable[[Reply], T]) -> T:
        """Send it and give what the judge makes of the reply; a failure is Locust's, too.

        Raises:
            RequestFailed: there was no reply, or the judge did not accept it.
        """
        with self._session.request(
            request.method,
            request.path,
            name=request.name,
            data=request.body,
            headers=_headers(request),
            catch_response=True,
        ) as response:
            try:
                accepted = judge(_reply(response))
            except RequestFailed as failed:
                response.failure(failed)
                raise
            response.success()
            return accepted


def _headers(request: Request) -> dict[str, str]:
    return _shown if request.body is None else {"Content-Type": request.content_type} | _shown


def _reply(response: Any) -> Reply:
    if not response.status_code:
        error = response.error
        outcome = Outcome.REFUSED if isinstance(error, _NEVER_SENT) else Outcome.UNKNOWN
        raise RequestFailed(_name(error), outcome)
    # A body that broke off has a status and no content; its error is Locust's word for it.
    broken = response.request_meta.get("exception")
    if broken is not None and response.status_code < 400:
        raise RequestFailed(_name(broken))
    said = response.headers.get("retry-after")
    return Reply(response.status_code, response.content or b"", said)


def _name(error: Any) -> str:
    """What happened, without addresses or ids: all of a kind are counted together."""
    if "timed out" in str(error):
        return "no answer: timed out"
    cause = getattr(error, "strerror", None)
    return f"no answer: {type(error).__name__}" + (f" ({cause})" if cause else "")
