from google.protobuf import struct_pb2

from bootstrap.standins.values import UNKNOWN, has_unknown, plain, secret_names, wire


def test_plain_values_survive_the_way_to_the_engine_and_back() -> None:
    given = {
        "text": "a",
        "whole": 3,
        "fraction": 1.5,
        "yes": True,
        "list": [1, "b", None, {"k": []}],
        "map": {"nested": {"deep": False}, "none": None, "empty": {}},
    }
    assert plain(wire(given)) == given


def test_whole_numbers_come_back_as_int() -> None:
    number = plain(wire({"n": 4}))["n"]
    assert type(number) is int


def test_null_properties_are_not_sent() -> None:
    assert list(wire({"gone": None, "here": 1}).fields) == ["here"]


def test_unknown_values_stay_unknown_at_any_depth() -> None:
    back = plain(wire({"a": UNKNOWN, "b": {"c": [UNKNOWN]}}))
    assert back["a"] is UNKNOWN
    assert back["b"]["c"][0] is UNKNOWN
    assert has_unknown(back["b"])
    assert not has_unknown({"a": [1, "x"]})


def test_secret_wrappers_are_taken_off_and_remembered() -> None:
    sent = wire({"open": "o", "hidden": {"k": "v"}}, secrets=("hidden",))
    assert secret_names(sent) == {"hidden"}
    assert plain(sent) == {"open": "o", "hidden": {"k": "v"}}


def test_a_secret_deep_inside_makes_its_property_secret() -> None:
    inner = wire({"password": "x"}, secrets=("password",))
    sent = struct_pb2.Struct()
    sent.fields["map"].struct_value.CopyFrom(inner)
    sent.fields["list"].list_value.values.add().struct_value.CopyFrom(inner)
    sent.fields["plain"].string_value = "y"
    assert secret_names(sent) == {"map", "list"}


def test_an_output_without_a_value_is_unknown_and_may_be_secret() -> None:
    sent = struct_pb2.Struct()
    output = sent.fields["o"].struct_value
    output.fields[
        "4dabf18193072939515e22adb298388d"
    ].string_value = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
    output.fields["secret"].bool_value = True
    assert plain(sent) == {"o": UNKNOWN}
    assert secret_names(sent) == {"o"}


def test_the_engines_own_entries_are_left_out() -> None:
    assert plain(wire({"__defaults": ["a"], "a": 1})) == {"a": 1}
