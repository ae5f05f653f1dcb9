"""Start one stand-in without loading the whole pulumi SDK.

The plugins need only the SDK's protocol code, but importing it runs the SDK's own start-up:
0.4 s of processor time and 60 MiB a process, for every plugin of every command. So the two
parent packages are entered by hand as plain folders first.
"""

import importlib
import importlib.util
import sys
import types
from pathlib import Path

PROGRAMS = ("docker_build", "language", "random", "tls")


def shorten_import() -> None:
    """Make ``pulumi.runtime.proto`` importable on its own; only for a process of our own."""
    if "pulumi" in sys.modules:
        return
    spec = importlib.util.find_spec("pulumi")
    if spec is None or spec.origin is None:
        raise SystemExit(
            f"the pulumi SDK is not installed in {sys.executable}: run `make tools` to set up "
            "this checkout's Python environment"
        )
    folder = Path(spec.origin).parent
    for name, path in (("pulumi", folder), ("pulumi.runtime", folder / "runtime")):
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module


def main() -> None:
    """Run the stand-in named by the first argument; what follows is the engine's."""
    if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
        raise SystemExit(f"usage: launch {'|'.join(PROGRAMS)} [ARGUMENT...]")
    program = sys.argv.pop(1)
    shorten_import()
    importlib.import_module(f"bootstrap.standins.{program}").main()


if __name__ == "__main__":
    main()
