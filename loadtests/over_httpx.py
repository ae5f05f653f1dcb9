"""Requests over httpx: for a client that sends one after the other."""

from collections.abc import Callable
from typing import TypeVar

import httpx

from bootstrap.checkout import Checkout
from loadtests.exchange import Reply, Request, RequestFailed
from loadtests.tokens import auth_of
from loadtests.traffic import REQUEST_TIMEOUT, base_url, failure

T = TypeVar("T")


class HttpxTransport:
    """Carries requests over one httpx client, which the caller closes."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def exchange(self, request: Request, judge: Callable[[Reply], T]) -> T:
        """Send it and give what the judge makes of the reply.

        Raises:
            RequestFailed: there was no reply, or the judge did not accept it.
        """
        headers = {} if request.body is None else {"content-type": request.content_type}
        try:
            answer = self._http.request(
                request.method, request.path, content=request.body, headers=headers
            )
        except httpx.HTTPError as error:
            outcome, reason = failure(error)
            raise RequestFailed(reason, outcome) from error
        return judge(Reply(answer.status_code, answer.content, answer.headers.get("retry-after")))


def http_client(checkout: Checkout, entry: str) -> httpx.Client:
    """A client for the published port of an entry of the stack."""
    return httpx.Client(
        base_url=base_url(checkout, entry),
        auth=auth_of(checkout),
        timeout=REQUEST_TIMEOUT,
        trust_env=False,
    )
