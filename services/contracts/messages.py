"""The messages of the gRPC APIs, made of their contracts in services/contracts/proto.

`python -m services.contracts.messages` makes them anew. It takes the compiler, which is of the
development environment alone: what is made is committed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from google.api import field_behavior_pb2
from grpc_tools import protoc

FOLDER: Final = Path(__file__).resolve().parent / "proto"


class CompilerError(Exception):
    """The compiler refused a file; what it says of it is on standard error."""


def made(folder: Path = FOLDER) -> dict[str, str]:
    """What the compiler makes of the contracts below `folder`, by path below it.

    Raises CompilerError.
    """
    sources = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.proto"))
    with TemporaryDirectory() as out:
        run("--python_out", out, "--pyi_out", out, *sources, folder=folder)
        return {
            str(path.relative_to(out)): path.read_text(encoding="utf-8")
            for path in sorted(Path(out).rglob("*_pb2.py*"))
        }


def run(*arguments: str, folder: Path = FOLDER) -> None:
    """The compiler, with our contracts and those of Google in its path. Raises CompilerError."""
    # google/api comes with the package of the same messages, google/protobuf with the compiler.
    of_google = Path(field_behavior_pb2.__file__).parents[2]
    of_compiler = Path(protoc.__file__).parent / "_proto"
    paths = [f"--proto_path={path}" for path in (folder, of_google, of_compiler)]
    if protoc.main(["protoc", *paths, *arguments]):
        raise CompilerError(f"protoc {' '.join(arguments)}")


def there(folder: Path = FOLDER) -> dict[str, str]:
    """What was made before."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*_pb2.py*"))
    }


def write(folder: Path = FOLDER) -> None:
    """Bring what is there up to date. Raises CompilerError."""
    new = made(folder)
    for name in there(folder).keys() - new.keys():
        (folder / name).unlink()
    for name, text in new.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        write()
    except CompilerError as error:
        sys.exit(str(error))
