"""Property values between the engine's wire form and plain Python.

Plain values are None, bool, int, float, str, list and dict; ``UNKNOWN`` stands for a value that
is only known after another resource has been made. Secret wrappers are taken off on the way in
(``secret_names`` remembers which properties carried one) and put on again on the way out.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf import struct_pb2

# Signatures of the protocol (pulumi/runtime/rpc.py of the SDK).
_UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"


class Unknown:
    """The type of ``UNKNOWN``."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


def plain(properties: struct_pb2.Struct) -> dict[str, Any]:
    """Properties without the engine's own entries (their names start with ``__``)."""
    return {
        name: _plain(value)
        for name, value in properties.fields.items()
        if not name.startswith("__")
    }


def _plain(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value == _UNKNOWN_TEXT else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_plain(item) for item in value.list_value.values]
        case "struct_value":
            return _unwrapped(value.struct_value)
        case _:
            return None


def _unwrapped(struct: struct_pb2.Struct) -> Any:
    fields = struct.fields
    signature = fields[_SIGNATURE].string_value if _SIGNATURE in fields else ""
    if signature == _SECRET:
        return _plain(fields["value"])
    if signature == _OUTPUT:
        return _plain(fields["value"]) if "value" in fields else UNKNOWN
    return {name: _plain(item) for name, item in fields.items()}


def secret_names(properties: struct_pb2.Struct) -> set[str]:
    """Names of the properties that are, or anywhere within hold, a secret."""
    return {name for name, value in properties.fields.items() if _holds_secret(value)}


def _holds_secret(value: struct_pb2.Value) -> bool:
    match value.WhichOneof("kind"):
        case "list_value":
            return any(_holds_secret(item) for item in value.list_value.values)
        case "struct_value":
            fields = value.struct_value.fields
            signature = fields[_SIGNATURE].string_value if _SIGNATURE in fields else ""
            if signature == _SECRET:
                return True
            if signature == _OUTPUT and "secret" in fields and fields["secret"].bool_value:
                return True
            return any(_holds_secret(item) for item in fields.values())
        case _:
            return False


def wire(properties: Mapping[str, Any], secrets: Iterable[str] = ()) -> struct_pb2.Struct:
    """Plain values as the engine wants them, those named in ``secrets`` wrapped as secrets."""
    hidden = set(secrets)
    struct = struct_pb2.Struct()
    for name, value in properties.items():
        if value is None:
            continue
        encoded = _wire(value)
        if name in hidden:
            wrapper = struct.fields[name].struct_value
            wrapper.fields[_SIGNATURE].string_value = _SECRET
            wrapper.fields["value"].CopyFrom(encoded)
        else:
            struct.fields[name].CopyFrom(encoded)
    return struct


def _wire(value: Any) -> struct_pb2.Value:
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case Unknown():
            return struct_pb2.Value(string_value=_UNKNOWN_TEXT)
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case _:
            return _wire_many(value)


def _wire_many(value: Any) -> struct_pb2.Value:
    encoded = struct_pb2.Value()
    if isinstance(value, Mapping):
        encoded.struct_value.SetInParent()
        for name, item in _items(value):
            encoded.struct_value.fields[name].CopyFrom(_wire(item))
    else:
        encoded.list_value.SetInParent()
        encoded.list_value.values.extend(map(_wire, value))
    return encoded


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items()


def has_unknown(value: Any) -> bool:
    """Whether ``value`` is, or anywhere within holds, ``UNKNOWN``."""
    if isinstance(value, Unknown):
        return True
    if isinstance(value, Mapping):
        return any(has_unknown(item) for _, item in _items(value))
    if isinstance(value, list | tuple):
        return any(map(has_unknown, value))  # pyright: ignore[reportUnknownArgumentType]
    return False
