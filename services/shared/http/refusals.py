"""What a client is told that broke a limit of limits.py: each is the end of its connection."""

from __future__ import annotations

from services.shared.http.problem import ProblemError


def _end(status: int, kind: str, detail: str) -> ProblemError:
    return ProblemError(status, kind, detail, headers={"Connection": "close"})


def malformed() -> ProblemError:
    return _end(400, "malformed-request", "the request is not valid HTTP (RFC 9112)")


def target_too_long(most: int) -> ProblemError:
    return _end(
        414, "target-too-long", f"path and query are longer than {most} bytes; send shorter ones"
    )


def headers_too_large(most: int, overhead: int) -> ProblemError:
    return _end(
        431,
        "headers-too-large",
        f"the headers are larger than {most} bytes, counting {overhead} more for each; send fewer"
        " or shorter ones",
    )


def framing_too_large(most: int) -> ProblemError:
    return _end(
        400,
        "framing-too-large",
        f"trailers, chunk extensions or blank lines take more than {most} bytes; leave them out",
    )


def headers_too_slow(seconds: float) -> ProblemError:
    return _end(
        408,
        "headers-too-slow",
        f"the headers did not arrive within {seconds:g} s; send them again",
    )


def too_many_pipelined(most: int) -> ProblemError:
    return _end(
        400,
        "too-many-pipelined",
        f"more than {most} requests were sent before the first was answered; wait for answers, or"
        " use more connections",
    )


def upgrade_with_body() -> ProblemError:
    return _end(
        400,
        "upgrade-with-body",
        "no other protocol is spoken here; send a request that has a body without Upgrade",
    )
