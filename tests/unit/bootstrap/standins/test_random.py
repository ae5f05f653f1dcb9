import base64
import string
import uuid

import bcrypt
import pytest

from bootstrap.standins.provider import Provider
from bootstrap.standins.random import KINDS
from bootstrap.standins.values import UNKNOWN, secret_names

from .conftest import Client, Properties, Serve


@pytest.fixture
def client(serve: Serve) -> Client:
    return serve(Provider("random", [kind() for kind in KINDS]))


def test_a_password_has_its_length_and_the_minimum_of_each_class(client: Client) -> None:
    wanted = {"length": 12, "minLower": 3, "minUpper": 3, "minNumeric": 3, "minSpecial": 3}
    drawn = client.made("RandomPassword", wanted | {"overrideSpecial": "_~"})["result"]
    assert len(drawn) == 12
    for alphabet in (string.ascii_lowercase, string.ascii_uppercase, string.digits, "_~"):
        assert sum(c in alphabet for c in drawn) == 3


def test_only_allowed_classes_are_drawn_from(client: Client) -> None:
    only_digits = {"length": 40, "lower": False, "upper": False, "special": False}
    assert client.made("RandomString", only_digits)["result"].isdigit()
    by_old_name = {"length": 40, "upper": False, "special": False, "number": False}
    assert client.made("RandomString", by_old_name)["result"].isalpha()


def test_the_bcrypt_hash_is_of_the_password_and_both_are_secret(client: Client) -> None:
    made = client.create("RandomPassword", {"length": 80})
    assert secret_names(made.properties) == {"result", "bcryptHash"}
    outputs = client.made("RandomPassword", {"length": 80})
    assert bcrypt.checkpw(outputs["result"].encode()[:72], outputs["bcryptHash"].encode())
    assert outputs["bcryptHash"].startswith("$2a$10$")


def test_two_draws_differ(client: Client) -> None:
    draws = {client.made("RandomString", {"length": 20})["result"] for _ in range(5)}
    assert len(draws) == 5


def test_an_id_is_spelled_in_four_ways_with_its_prefix(client: Client) -> None:
    outputs = client.made("RandomId", {"byteLength": 5, "prefix": "p-"})
    drawn = bytes.fromhex(outputs["hex"].removeprefix("p-"))
    assert len(drawn) == 5
    assert outputs["dec"] == f"p-{int.from_bytes(drawn, 'big')}"
    assert outputs["b64Std"] == "p-" + base64.b64encode(drawn).decode()
    assert outputs["b64Url"] == "p-" + base64.urlsafe_b64encode(drawn).decode().rstrip("=")


def test_a_uuid_is_its_own_id(client: Client) -> None:
    made = client.create("RandomUuid", {})
    assert uuid.UUID(made.id).version == 4


def test_bytes_are_secret_and_spelled_twice(client: Client) -> None:
    made = client.create("RandomBytes", {"length": 7})
    assert secret_names(made.properties) == {"base64", "hex"}
    outputs = client.made("RandomBytes", {"length": 7})
    assert base64.b64decode(outputs["base64"]).hex() == outputs["hex"]


def test_an_integer_lies_between_both_ends(client: Client) -> None:
    drawn = {client.made("RandomInteger", {"min": -1, "max": 1})["result"] for _ in range(60)}
    assert drawn == {-1, 0, 1}


@pytest.mark.parametrize(
    ("kind", "inputs", "property_", "words"),
    [
        ("RandomPassword", {"length": 0}, "length", "at least 1"),
        ("RandomPassword", {"length": 3, "minLower": 4}, "length", "minSpecial = 4"),
        ("RandomPassword", {"length": 3, "minUpper": -1}, "minUpper", "at least 0"),
        (
            "RandomString",
            {"length": 3, "lower": False, "upper": False, "numeric": False, "special": False},
            "length",
            "no character is left",
        ),
        ("RandomInteger", {"min": 2, "max": 1}, "min", "more than max = 1"),
        ("RandomInteger", {"min": 1, "max": 2, "seed": "s"}, "seed", "Leave seed out"),
        ("RandomId", {"byteLength": 0}, "byteLength", "at least 1"),
    ],
)
def test_impossible_inputs_are_named_with_the_reason(
    client: Client, kind: str, inputs: Properties, property_: str, words: str
) -> None:
    failures = client.failures(kind, inputs)
    assert list(failures) == [property_]
    assert words in failures[property_]


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [
        ({"length": 8}, {"length": 9}, ["length"]),
        ({"length": 8}, {"length": 8, "upper": False}, ["upper"]),
        ({"length": 8, "keepers": {"a": "1"}}, {"length": 8, "keepers": {"a": "2"}}, ["keepers"]),
        ({"length": 8}, {"length": 8, "keepers": {"a": "1"}}, ["keepers"]),
        ({"length": 8, "keepers": {"a": "1"}}, {"length": 8}, ["keepers"]),
        ({"length": 8, "keepers": {"a": "1"}}, {"length": 8, "keepers": UNKNOWN}, ["keepers"]),
        ({"length": 8}, {"length": 8, "keepers": {"a": None}}, []),
        ({"length": 8}, {"length": 8, "upper": True, "minLower": 0}, []),
        ({"length": 8}, {"length": 8}, []),
    ],
)
def test_a_changed_input_replaces_and_a_default_spelled_out_does_not(
    client: Client, old: Properties, new: Properties, replaced: list[str]
) -> None:
    diff = client.diff("RandomPassword", old | {"result": "r"}, old, new)
    assert list(diff.replaces) == replaced
    assert diff.changes == (diff.DIFF_SOME if replaced else diff.DIFF_NONE)


def test_a_state_of_the_official_provider_shows_no_difference(client: Client) -> None:
    # Its inputs carry `__defaults` and only the values that were given.
    old = {"__defaults": [], "length": 8, "special": False}
    diff = client.diff(
        "RandomPassword", old | {"result": "r"}, old, {"length": 8, "special": False}
    )
    assert diff.changes == diff.DIFF_NONE
