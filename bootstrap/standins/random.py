"""Stand-in for the random provider (``pulumi-resource-random``).

Values come from the operating system's source. Any changed input makes a new value, as with
the official provider; nulls among the keepers do not count.
"""

import base64
import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from bootstrap.standins.kinds import Failure, Job, Kind, Properties, Property, Shape, StandinError
from bootstrap.standins.provider import Provider, engine_address, run
from bootstrap.standins.values import Unknown

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_DIGITS = "0123456789"
_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"

_KEEPERS = {"keepers": Property(Shape.OBJECT)}
_LENGTH = {"length": Property(Shape.INTEGER, required=True)}
_CLASSES = {
    name: Property(Shape.BOOLEAN, default=True) for name in ("lower", "upper", "numeric", "special")
}
_MINIMA = {
    name: Property(Shape.INTEGER, default=0)
    for name in ("minLower", "minUpper", "minNumeric", "minSpecial")
}


def _at_least(inputs: Properties, name: str, minimum: int) -> list[Failure]:
    value = inputs.get(name)
    if isinstance(value, int) and value < minimum:
        return [Failure(name, f"{name} is {value}; it must be at least {minimum}")]
    return []


class _Text(Kind):
    """A string drawn from character classes."""

    inputs: Mapping[str, Property] = {
        **_LENGTH,
        **_CLASSES,
        **_MINIMA,
        "number": Property(Shape.BOOLEAN),  # the deprecated name of `numeric`
        "overrideSpecial": Property(Shape.STRING),
        **_KEEPERS,
    }

    def check(self, inputs: Properties) -> list[Failure]:
        failures = _at_least(inputs, "length", 1)
        for name in _MINIMA:
            failures += _at_least(inputs, name, 0)
        needed: list[Any] = [inputs[name] for name in ("length", *_MINIMA)]
        if failures or any(isinstance(value, Unknown) for value in needed):
            return failures
        length, minimum = needed[0], sum(needed[1:])
        if length < minimum:
            reason = f"length is {length}, less than minLower + minUpper + minNumeric + minSpecial"
            return [Failure("length", f"{reason} = {minimum}")]
        if not any(isinstance(c, Unknown) for c in _classes(inputs)) and not _alphabet(inputs):
            reason = "no character is left to draw from: set one of lower, upper, numeric, special"
            return [Failure("length", reason)]
        return []

    def draw(self, inputs: Properties) -> str:
        """The minimum of each class, the rest from all allowed classes, in random order."""
        inputs = self.defaults() | inputs
        special = inputs.get("overrideSpecial") or _SPECIAL
        drawn: list[str] = []
        for name, alphabet in zip(_MINIMA, (_LOWER, _UPPER, _DIGITS, special), strict=True):
            drawn += (secrets.choice(alphabet) for _ in range(inputs[name]))
        alphabet = _alphabet(inputs)
        drawn += (secrets.choice(alphabet) for _ in range(inputs["length"] - len(drawn)))
        secrets.SystemRandom().shuffle(drawn)
        return "".join(drawn)


def _classes(inputs: Properties) -> Sequence[object]:
    numeric = inputs.get("number") if inputs.get("number") is not None else inputs["numeric"]
    return (inputs["lower"], inputs["upper"], numeric, inputs["special"])


def _alphabet(inputs: Properties) -> str:
    special = inputs.get("overrideSpecial") or _SPECIAL
    alphabets = (_LOWER, _UPPER, _DIGITS, special)
    return "".join(a for wanted, a in zip(_classes(inputs), alphabets, strict=True) if wanted)


class RandomPassword(_Text):
    """A string that is secret, with its bcrypt hash (cost 10)."""

    token = "random:index/randomPassword:RandomPassword"  # noqa: S105
    computed = ("result", "bcryptHash")
    secrets = frozenset(computed)

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        import bcrypt  # noqa: PLC0415 (only a password needs it)

        result = self.draw(inputs)
        # bcrypt looks at 72 bytes and no more; the official provider cuts there as well.
        hashed = bcrypt.hashpw(result.encode()[:72], bcrypt.gensalt(rounds=10, prefix=b"2a"))
        return "none", {"result": result, "bcryptHash": hashed.decode()}


class RandomString(_Text):
    """A string that is no secret."""

    token = "random:index/randomString:RandomString"  # noqa: S105
    computed = ("result",)

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        result = self.draw(inputs)
        return result, {"result": result}


class RandomId(Kind):
    """Random bytes in several spellings, each with the prefix in front."""

    token = "random:index/randomId:RandomId"  # noqa: S105
    inputs: Mapping[str, Property] = {
        "byteLength": Property(Shape.INTEGER, required=True),
        "prefix": Property(Shape.STRING),
        **_KEEPERS,
    }
    computed = ("b64Std", "b64Url", "dec", "hex")

    def check(self, inputs: Properties) -> list[Failure]:
        return _at_least(inputs, "byteLength", 1)

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        drawn = secrets.token_bytes(inputs["byteLength"])
        identity = base64.urlsafe_b64encode(drawn).decode().rstrip("=")
        prefix = inputs.get("prefix") or ""
        spellings = {
            "b64Std": base64.standard_b64encode(drawn).decode(),
            "b64Url": identity,
            "dec": str(int.from_bytes(drawn, "big")),
            "hex": drawn.hex(),
        }
        return identity, {name: prefix + text for name, text in spellings.items()}


class RandomUuid(Kind):
    """A version 4 UUID."""

    token = "random:index/randomUuid:RandomUuid"  # noqa: S105
    inputs: Mapping[str, Property] = _KEEPERS
    computed = ("result",)

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        result = str(uuid.uuid4())
        return result, {"result": result}


class RandomBytes(Kind):
    """Secret random bytes."""

    token = "random:index/randomBytes:RandomBytes"  # noqa: S105
    inputs: Mapping[str, Property] = {**_LENGTH, **_KEEPERS}
    computed = ("base64", "hex")
    secrets = frozenset(computed)

    def check(self, inputs: Properties) -> list[Failure]:
        return _at_least(inputs, "length", 1)

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        drawn = secrets.token_bytes(inputs["length"])
        spellings = {"base64": base64.standard_b64encode(drawn).decode(), "hex": drawn.hex()}
        return "none", spellings


class RandomInteger(Kind):
    """A whole number between ``min`` and ``max``, both included."""

    token = "random:index/randomInteger:RandomInteger"  # noqa: S105
    inputs: Mapping[str, Property] = {
        "min": Property(Shape.INTEGER, required=True),
        "max": Property(Shape.INTEGER, required=True),
        "seed": Property(
            Shape.STRING,
            refusal="seed is not served by Millrace's stand-in for the random provider: the "
            "official provider's sequence cannot be reproduced here. Leave seed out, or put the "
            "official pulumi-resource-random on PATH",
        ),
        **_KEEPERS,
    }
    computed = ("result",)

    def check(self, inputs: Properties) -> list[Failure]:
        low, high = inputs["min"], inputs["max"]
        if not isinstance(low, Unknown) and not isinstance(high, Unknown) and low > high:
            return [Failure("min", f"min is {low}, more than max = {high}")]
        return []

    def create(self, inputs: Properties, job: Job) -> tuple[str, Properties]:
        low, high = inputs["min"], inputs["max"]
        if low > high:
            raise StandinError(f"min is {low}, more than max = {high}")
        result = low + secrets.randbelow(high - low + 1)
        return str(result), {"result": result}


KINDS = (RandomPassword, RandomString, RandomId, RandomUuid, RandomBytes, RandomInteger)


def main() -> None:
    """Serve until the engine is done."""
    run(Provider("random", [kind() for kind in KINDS], engine_address()))


if __name__ == "__main__":
    main()
