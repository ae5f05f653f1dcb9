"""The key that signs tokens: the next one is known to everybody before it signs, and the one before
it goes when nothing that it signed counts any more."""

import json
import time
from typing import Final

from bootstrap.kube import KubeError
from infra.model.objects import APPS, SIGNING_KEYS
from infra.model.records import Records
from operations.request import FailedError
from operations.rotate.holders import holders, missing
from operations.rotate.kind import Changes, Kind, Phase, Step, Value
from operations.rotate.passwords import SYNC_SECONDS
from operations.rotate.stack import Stack

SECRET: Final = "signing-key"  # noqa: S105 - what it is called
VERIFIERS_SECONDS: Final = 60 + 5
"""Services look for keys so often, and their looks take a moment."""
CLOCKS_SECONDS: Final = 60
"""How far the clocks may be apart of who signs, who verifies, and this machine."""
_LOOK_SECONDS: Final = 5
"""The authorization server looks at its folder every second."""
_MORE_SECONDS: Final = 120
_KEYS: Final = "authentication.signingKeys"
_AT: Final = "rotation.signingKey"
_ASK: Final = (
    "import json, urllib.request as r;"
    "f = r.build_opener(r.ProxyHandler({})).open('http://localhost:8080/.well-known/jwks.json');"
    "print(json.dumps([key['kid'] for key in json.load(f)['keys']]))"
)


def _secrets(_: Records) -> tuple[str, ...]:
    return (SECRET,)


def _phase(stack: Stack, _secret: str) -> str:
    return stack.rotation.signing_key.phase or ""


def _begin(stack: Stack, _secret: str) -> Changes:
    said = stack.authentication
    keys = (*said.signing_keys, _next(said.signing_keys))
    listed: dict[str, Value] = {f"{_KEYS}[{place}]": key for place, key in enumerate(keys)}
    # Named beside the list: the default may be another one than those there are.
    return {**listed, "authentication.activeKey": said.active_key, f"{_AT}.phase": "published"}


def _next(keys: tuple[str, ...]) -> str:
    numbers = [int(key[4:]) for key in keys if key.startswith("key-") and key[4:].isdecimal()]
    return f"key-{max(numbers, default=0) + 1}"


def _newest(stack: Stack) -> str:
    return stack.authentication.signing_keys[-1]


def _update(stack: Stack, _secret: str) -> None:
    stack.update()


def _published(stack: Stack, _secret: str) -> None:
    kid = _newest(stack)

    def lacking() -> str:
        behind = missing(stack.kube, SIGNING_KEYS, f"{kid}.pem")
        return behind or ", ".join(p for p, kids in _kids(stack).items() if kid not in kids)

    stack.wait(f"every authorization server publishes {kid}", lacking, SYNC_SECONDS)


def _signs(stack: Stack, _secret: str) -> None:
    what = f"every authorization server signs with {_newest(stack)}"
    stack.wait(what, lambda: missing(stack.kube, SIGNING_KEYS, "active"), SYNC_SECONDS)
    _pause(stack, "they have looked at it", _now() + _LOOK_SECONDS)


def _drop(stack: Stack, _secret: str) -> None:
    said = stack.authentication
    if said.active_key != said.signing_keys[-1]:
        raise FailedError(
            f"activeKey is {said.active_key}, and not the newest of signingKeys, so the one that "
            "signs would go; correct it in the stack's file, then the same command continues"
        )
    for place in reversed(range(len(said.signing_keys) - 1)):
        stack.change({f"{_KEYS}[{place}]": None})
    stack.update()


def _gone(stack: Stack, _secret: str) -> None:
    left = sorted(stack.authentication.signing_keys)

    def others() -> str:
        return ", ".join(pod for pod, kids in _kids(stack).items() if sorted(kids) != left)

    stack.wait(f"authorization servers publish {', '.join(left)} alone", others, SYNC_SECONDS)
    _pause(stack, "services forget the one before", _now() + VERIFIERS_SECONDS)


def _known(stack: Stack, _secret: str) -> None:
    _pause(stack, "services know the next key", _since(stack) + VERIFIERS_SECONDS)


def _ended(stack: Stack, _secret: str) -> None:
    lasts = stack.authentication.token_seconds + CLOCKS_SECONDS
    _pause(stack, "the last token of the key before ends", _since(stack) + lasts)


def _since(stack: Stack) -> int:
    # Not later than now: a clock that was set back since must not make it wait for ever.
    return min(stack.rotation.signing_key.since, _now())


def _pause(stack: Stack, what: str, until: int) -> None:
    def left() -> str:
        seconds = until - _now()
        return f"{seconds} s" if seconds > 0 else ""

    stack.wait(what, left, max(0, until - _now()) + _MORE_SECONDS)


def _now() -> int:
    return int(time.time())


def _kids(stack: Stack) -> dict[str, list[str]]:
    """Pod of the authorization server to the keys that it publishes; none while it starts."""
    found: dict[str, list[str]] = {}
    for one in holders(stack.kube.items("pods", APPS), SIGNING_KEYS):
        try:
            said = stack.kube.run(
                *("exec", "-n", APPS, one.pod, "-c", one.container, "--", "python", "-c", _ASK)
            )
        except KubeError:
            found[one.pod] = []
        else:
            found[one.pod] = json.loads(said)
    return found or {"no pod": []}


def _spreading(_stack: Stack, _secret: str) -> Changes:
    return {f"{_AT}.phase": "spreading", f"{_AT}.since": _now()}


def _signing(stack: Stack, _secret: str) -> Changes:
    return {f"{_AT}.phase": "signing", "authentication.activeKey": _newest(stack)}


def _ending(_stack: Stack, _secret: str) -> Changes:
    return {f"{_AT}.phase": "ending", f"{_AT}.since": _now()}


def _dropped(_stack: Stack, _secret: str) -> Changes:
    return {f"{_AT}.phase": "dropped"}


def _over(_stack: Stack, _secret: str) -> Changes:
    return {_AT: None}


KIND: Final = Kind(
    name="signing key",
    secrets=_secrets,
    generation=lambda stack, _: stack.authentication.active_key,
    phase=_phase,
    begin=_begin,
    phases=(
        Phase(
            "published",
            (
                Step("the next key is made", _update),
                Step("every authorization server publishes it", _published),
            ),
            _spreading,
        ),
        Phase(
            "spreading",
            (Step("every service knows it", _known),),
            _signing,
        ),
        Phase(
            "signing",
            (
                Step("it is to sign", _update),
                Step("every authorization server signs with it", _signs),
            ),
            _ending,
        ),
        Phase(
            "ending",
            (Step("no token of the key before counts any more", _ended),),
            _dropped,
        ),
        Phase(
            "dropped",
            (
                Step("the key before is gone", _drop),
                Step("nobody publishes or believes it", _gone),
            ),
            _over,
        ),
    ),
)
