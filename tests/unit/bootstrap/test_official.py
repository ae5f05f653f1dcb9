import hashlib
import io
import json
import tarfile
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bootstrap.checkout import Checkout
from bootstrap.environment import own_variables
from bootstrap.official import (
    CATALOGUE,
    Release,
    folder_of,
    install,
    official_steps,
    pin,
    read_releases,
)
from bootstrap.steps import Report, StepFailed


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Tests print their own lines only."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A download site on loopback with one archive; its address and the archive's SHA-256."""
    folder = tmp_path / "site"
    folder.mkdir()
    content = b"#!/bin/sh\necho hello\n"
    with tarfile.open(folder / "tool-1.0-x64.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("pulumi/tool")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    (folder / "tool-1.0-arm64.tar.gz").write_bytes(
        (folder / "tool-1.0-x64.tar.gz").read_bytes() + b"\0"
    )
    digest = hashlib.sha256((folder / "tool-1.0-x64.tar.gz").read_bytes()).hexdigest()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", digest
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "repo").mkdir()
    made = Checkout(tmp_path / "repo", tmp_path / "cache")
    made.make_state()
    return made


def report_in(checkout: Checkout) -> Report:
    return Report("official", checkout.logs / "log")


def test_a_release_is_verified_unpacked_and_linked(
    checkout: Checkout, site: tuple[str, str]
) -> None:
    address, digest = site
    release = Release("tool", "1.0", f"{address}/tool-1.0-x64.tar.gz", digest, ["tool"])
    for step in official_steps(checkout, [release]):
        step.run(report_in(checkout))
    assert (checkout.bin / "tool").read_bytes().startswith(b"#!/bin/sh")
    assert (checkout.bin / "tool").stat().st_mode & 0o111


def test_another_checksum_installs_nothing_and_names_both(
    checkout: Checkout, site: tuple[str, str]
) -> None:
    address, digest = site
    release = Release("tool", "1.0", f"{address}/tool-1.0-x64.tar.gz", "f" * 64, ["tool"])
    with pytest.raises(StepFailed, match=digest):
        install(checkout, release, report_in(checkout))
    assert not folder_of(checkout, release).exists()


def test_a_site_out_of_reach_is_told_with_the_way_out(checkout: Checkout) -> None:
    release = Release("tool", "1.0", "http://127.0.0.1:9/tool.tar.gz", "f" * 64, ["tool"])
    with pytest.raises(StepFailed, match="STACK=airgap needs none"):
        install(checkout, release, report_in(checkout))
    assert not folder_of(checkout, release).exists()


def test_an_archive_without_the_program_is_refused(
    checkout: Checkout, site: tuple[str, str]
) -> None:
    address, digest = site
    release = Release("tool", "1.0", f"{address}/tool-1.0-x64.tar.gz", digest, ["other"])
    with pytest.raises(StepFailed, match="holds no other"):
        install(checkout, release, report_in(checkout))
    assert not folder_of(checkout, release).exists()


def test_pin_fills_the_empty_checksums_only(
    checkout: Checkout, site: tuple[str, str], tmp_path: Path
) -> None:
    address, digest = site
    catalogue = tmp_path / "official.toml"
    entry = (
        '[{name}]\nversion = "1.0"\n'
        f'url = "{address}/tool-{{version}}-{{arch}}.tar.gz"\n'
        'arch = {{ x86_64 = "x64", aarch64 = "arm64" }}\nprograms = ["tool"]\n'
        'sha256 = {{ x86_64 = "{known}", aarch64 = "" }}\n'
    )
    entry = entry.replace("{version}", "{{version}}").replace("{arch}", "{{arch}}")
    catalogue.write_text(
        entry.format(name="tool", known="") + "\n" + entry.format(name="kept", known="a" * 64)
    )
    pin(catalogue, report_in(checkout), tmp_path)
    pinned = read_releases(catalogue, "x86_64")
    assert pinned["tool"].sha256 == digest
    assert pinned["kept"].sha256 == "a" * 64
    arm = read_releases(catalogue, "aarch64")
    assert arm["tool"].pinned
    assert arm["kept"].pinned
    assert arm["tool"].sha256 != digest


def test_an_architecture_without_releases_is_named() -> None:
    with pytest.raises(StepFailed, match="riscv64"):
        read_releases(CATALOGUE, "riscv64")


def test_versions_are_those_of_the_locked_sdks() -> None:
    root = Path(__file__).parents[3]
    locked = {
        package["name"]: package["version"]
        for package in tomllib.loads((root / "uv.lock").read_text())["package"]
    }
    for name, release in read_releases(CATALOGUE, "x86_64").items():
        assert release.version == locked[name.replace("-resource", "")], name


def test_official_tools_find_uv_and_a_builder_that_reaches_our_registry(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UV", str(tmp_path / "uv"))
    for step in official_steps(checkout, []):
        step.run(Report(step.name, checkout.logs / "log"))
    assert (checkout.bin / "uv").readlink() == tmp_path / "uv"

    settings = Path(own_variables(checkout, {})["BUILDX_CONFIG"])
    chosen = json.loads((settings / "current").read_text())
    builder = json.loads((settings / "instances" / chosen["Name"]).read_text())
    assert chosen["Global"], "whichever engine the plugin talks to"
    assert builder["Nodes"][0]["DriverOpts"]["network"] == "host"


def test_stand_ins_need_no_builder(checkout: Checkout) -> None:
    assert "BUILDX_CONFIG" not in own_variables(checkout, {})
