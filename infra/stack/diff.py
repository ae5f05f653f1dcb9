"""How two environments differ, for whoever signs off on it: `python -m infra.stack.diff dev prod`.

Compares settings, not text: defaults are filled in, so what a stack file leaves out shows too.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from infra.model.records import RECORDS, Records
from infra.model.servers import Engine
from infra.model.settings import OWN_SECTION, PlatformSettings, Settings
from infra.stack.config import ConfigError, load_file

ROOT = Path(__file__).resolve().parents[2]


def flat(settings: PlatformSettings, records: Records = RECORDS) -> dict[str, str]:
    """Dotted key to JSON value, with every service and every server spelled out."""
    document = settings.model_dump(by_alias=True)
    document["services"] = {
        name: settings.services.of(name).model_dump(by_alias=True) for name in records.service_names
    }
    document["servers"] = {
        engine: {
            name: size_of(name).model_dump(by_alias=True)
            for name in records.server_names(engine=engine)
            if name != OWN_SECTION.get(engine)
        }
        for engine, size_of in _sizes(settings).items()
    }
    return dict(_leaves("", document))


def _sizes(settings: PlatformSettings) -> dict[Engine, Callable[[str], Settings]]:
    """Engine to what gives the size of one of its servers, by name."""
    return {
        "postgres": settings.postgres_of,
        "mysql": settings.mysql_of,
        "redis": settings.redis_of,
    }


def _leaves(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in cast("dict[str, object]", value).items():
            yield from _leaves(f"{prefix}.{key}" if prefix else key, inner)
    else:
        yield prefix, json.dumps(value)


def differences(
    left: PlatformSettings, right: PlatformSettings
) -> list[tuple[str, str | None, str | None]]:
    """Key, value left and value right where they differ; None where a side has no such key."""
    a, b = flat(left), flat(right)
    return [
        (key, a.get(key), b.get(key))
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key)
    ]


def load_stack(stack: str) -> PlatformSettings:
    """The settings of `Pulumi.<stack>.yaml` in this checkout.

    Raises:
        ConfigError: the file is missing or wrong.
    """
    path = ROOT / f"Pulumi.{stack}.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.name.split(".")[1] for p in ROOT.glob("Pulumi.*.yaml")))
        raise ConfigError(f"there is no {path.name}; stacks here: {known}")
    return load_file(path.read_text(encoding="utf-8"), path.name)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m infra.stack.diff STACK STACK\n")
        return 2
    left, right = arguments
    try:
        rows = differences(load_stack(left), load_stack(right))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    width = max([len(key) for key, _, _ in rows], default=0)
    for key, a, b in rows:
        sys.stdout.write(f"{key:<{width}}  {left}: {a or '-'}  {right}: {b or '-'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
