"""The scripts under which the Pulumi CLI finds the stand-ins on PATH."""

import os
import shlex
from collections.abc import Collection
from importlib import metadata
from pathlib import Path

# Script name to stand-in module.
LAUNCHERS = {
    "pulumi-language-python": "language",
    "pulumi-resource-docker-build": "docker_build",
    "pulumi-resource-random": "random",
    "pulumi-resource-tls": "tls",
}

# -P keeps the caller's folder off the module path: it may hold a random.py of its own.
_SCRIPT = """\
#!/bin/sh
# Written by Millrace's bootstrap: the stand-in for the official plugin of this name.
exec {python} -P -c {code} {root} {module} "$@"
"""
_CODE = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from bootstrap.standins.launch import main; main()"
)


def write_launchers(
    bin_dir: Path, python: Path, root: Path, names: Collection[str] = tuple(LAUNCHERS)
) -> list[Path]:
    """Write a launch script per stand-in in ``names`` into ``bin_dir`` and return their paths.

    Args:
        bin_dir: Folder for the scripts, made when it is missing.
        python: The interpreter of the environment that holds the SDKs (not resolved: a virtual
            environment is recognised by the path it is started under).
        root: The repository's folder, from which ``bootstrap`` is imported.
    """
    bin_dir.mkdir(parents=True, exist_ok=True)
    return [
        _write(bin_dir / name, python.absolute(), root.absolute(), module)
        for name, module in sorted(LAUNCHERS.items())
        if name in names
    ]


def write_plugin_cache(pulumi_home: Path, python: Path, root: Path) -> list[Path]:
    """Write the providers' scripts as installed plugins of ``pulumi_home``; returns their paths.

    The CLI warns at every command about each plugin it takes from PATH. It does not about one
    from its plugin cache whose version is the SDK's, so there they go unnoticed. (The language
    host has no place in the cache: it goes unnoticed only beside the ``pulumi`` program itself,
    which must then be a file of that folder and no symbolic link.)
    """
    written: list[Path] = []
    for name, module in sorted(LAUNCHERS.items()):
        plugin = name.removeprefix("pulumi-resource-")
        if plugin == name:
            continue
        folder = plugin_folder(pulumi_home, plugin, metadata.version(f"pulumi-{plugin}"))
        folder.mkdir(parents=True, exist_ok=True)
        written.append(_write(folder / name, python.absolute(), root.absolute(), module))
    return written


def plugin_folder(pulumi_home: Path, plugin: str, version: str) -> Path:
    """Where the CLI looks for the program of a resource plugin of that version."""
    return pulumi_home / "plugins" / f"resource-{plugin}-v{version}"


def _write(path: Path, python: Path, root: Path, module: str) -> Path:
    text = _SCRIPT.format(
        python=shlex.quote(str(python)),
        code=shlex.quote(_CODE),
        root=shlex.quote(str(root)),
        module=module,
    )
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.chmod(0o755)
    draft.replace(path)  # in one step: a command that runs now finds the old or the new script
    return path
