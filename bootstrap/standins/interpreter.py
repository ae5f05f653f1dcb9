"""Which Python a program or policy pack runs in, and what is installed there.

Follows the options of ``runtime:`` in Pulumi.yaml as the official language host does:
``virtualenv`` (relative to Pulumi.yaml), ``toolchain: uv`` (or a uv.lock nearby) with its
``.venv``, and otherwise the interpreter this host itself runs in.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Asked in the program's own interpreter: what it is and which distributions it holds.
_ABOUT = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
_INSTALLED = """
import importlib.metadata as m, json, re
plain = lambda name: re.sub("[-_.]+", "-", name).lower()
print(json.dumps({
    plain(d.metadata["Name"]): {
        "version": d.version,
        "requires": [plain(re.split("[ ;<>=!~([]", r)[0])
                     for r in d.requires or () if "extra ==" not in r],
    }
    for d in m.distributions() if d.metadata["Name"]
}))
"""
_FOLDERS = "import sys; print('\\n'.join(p for p in sys.path if p.endswith('-packages')))"


@dataclass(frozen=True)
class Interpreter:
    """``python`` is the program to start; ``environment`` its virtual environment, if any."""

    python: Path
    environment: Path | None

    def activated(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ`` as ``activate`` of the virtual environment would leave it."""
        if self.environment is None:
            return dict(environ)
        values = {k: v for k, v in environ.items() if k != "PYTHONHOME"}
        values["VIRTUAL_ENV"] = str(self.environment)
        values["PATH"] = os.pathsep.join(
            [str(self.environment / "bin"), *filter(None, [environ.get("PATH")])]
        )
        return values


def find_interpreter(
    options: Mapping[str, Any],
    root: Path,
    program: Path,
    environ: Mapping[str, str] = os.environ,
) -> Interpreter:
    """The interpreter for ``program``, whose Pulumi.yaml lies in ``root``.

    Raises:
        ValueError: an option asks for what this host does not have; names option and way out.
    """
    toolchain = str(options.get("toolchain") or "auto").lower()
    if toolchain not in ("auto", "pip", "uv"):
        raise ValueError(
            f"runtime option toolchain is {toolchain!r}; this stand-in for the Python language "
            "host knows uv and pip: set `toolchain: uv` in Pulumi.yaml, or put the official "
            "pulumi-language-python first on PATH"
        )
    given = options.get("virtualenv")
    if given:
        return _existing(root / str(given), f"runtime option virtualenv is {given!r}")
    if toolchain == "uv" or (toolchain == "auto" and uv_project(program)):
        project = uv_project(program) or program
        folder = project / (environ.get("UV_PROJECT_ENVIRONMENT") or ".venv")
        return _existing(folder, f"the uv project {project} has no environment yet")
    command = environ.get("PULUMI_PYTHON_CMD")
    if command:
        return Interpreter(Path(command), None)
    own = Path(sys.prefix) if sys.prefix != sys.base_prefix else None
    return Interpreter(Path(sys.executable), own)


def uv_project(program: Path) -> Path | None:
    """The folder of the nearest uv.lock at or above ``program``."""
    return next((p for p in (program, *program.parents) if (p / "uv.lock").is_file()), None)


def _existing(environment: Path, reason: str) -> Interpreter:
    python = environment / "bin" / "python"
    if not python.exists():
        raise ValueError(
            f"{reason}: there is no {python}. `pulumi install` (or `uv sync`) makes it"
        )
    return Interpreter(python, environment)


def version(interpreter: Interpreter) -> str:
    """``3.11.2`` and the like."""
    return _ask(interpreter, _ABOUT).strip()


def installed(interpreter: Interpreter) -> dict[str, Any]:
    """Distributions by normalised name, each with ``version`` and ``requires`` (names)."""
    return json.loads(_ask(interpreter, _INSTALLED))


def top_level(found: Mapping[str, Any]) -> Iterable[str]:
    """Names of distributions that no other installed distribution asks for."""
    asked = {name for item in found.values() for name in item["requires"]}
    return [name for name in found if name not in asked]


def plugin_declarations(interpreter: Interpreter) -> list[dict[str, str]]:
    """``name``, ``version`` and ``server`` of the plugin of every installed SDK.

    Read from the environment's folders without starting it: every command asks for this.
    """
    if interpreter.environment is not None:
        folders = list(interpreter.environment.glob("lib/python*/site-packages"))
    else:
        folders = [Path(line) for line in _ask(interpreter, _FOLDERS).split("\n") if line]
    found: list[dict[str, str]] = []
    for file in sorted(file for folder in folders for file in folder.glob("*/pulumi-plugin.json")):
        declared: dict[str, Any] = json.loads(file.read_text())
        if declared.get("resource"):
            name = file.parent.name.removeprefix("pulumi_").replace("_", "-")
            default = {"name": name, "version": "", "server": ""}
            found.append({key: str(declared.get(key) or default[key]) for key in default})
    return found


def _ask(interpreter: Interpreter, code: str) -> str:
    done = subprocess.run(
        [interpreter.python, "-I", "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"{interpreter.python} does not run: {done.stderr.strip()}")
    return done.stdout
