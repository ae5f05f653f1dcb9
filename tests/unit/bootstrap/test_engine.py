from pathlib import Path

import pytest

from bootstrap import engine
from bootstrap.checkout import Checkout
from bootstrap.steps import Report, StepFailed

# A socket that no engine listens on, so that these tests say the same on every machine.
NOWHERE = "unix:///nonexistent/engine.sock"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path, tmp_path / "cache")
    made.make_state()
    return made


def ensure(checkout: Checkout) -> None:
    engine.ensure_engine(checkout, Report("engine", checkout.logs / "engine.log"))


def test_a_user_who_may_not_install_is_told_what_is_missing_and_how_to_get_it(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.setattr(engine, "_search_path", lambda: "/nonexistent")
    monkeypatch.setattr(engine, "is_debian_like", lambda: True)
    with pytest.raises(StepFailed, match=r"not installed: docker\.io.*apt-get install"):
        ensure(checkout)
    with pytest.raises(StepFailed, match=r"missing .*mmdebstrap.*apt-get install"):
        engine.ensure_image_tools(checkout, Report("engine", checkout.logs / "engine.log"))


def test_an_engine_that_answers_is_enough(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a local dockerd nor root is asked for where a remote or foreign engine works."""
    monkeypatch.setattr(engine.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine, "answers", lambda: True)
    monkeypatch.setattr(engine, "_search_path", lambda: "/nonexistent")
    ensure(checkout)


def test_elsewhere_the_way_out_names_no_debian_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "is_debian_like", lambda: False)
    assert "apt-get" not in engine.way_out()
    assert "docker info" in engine.way_out()


def test_an_engine_named_by_the_user_is_never_replaced_by_one_of_ours(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    monkeypatch.setattr(engine, "is_debian_like", lambda: True)
    monkeypatch.setattr(engine.os, "geteuid", lambda: 0)
    with pytest.raises(StepFailed, match="no container engine answers at unix:///nonexistent"):
        ensure(checkout)


def test_no_engine_is_an_answer_not_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    assert engine.answers() is False


def test_the_engine_gets_a_standard_input_that_it_shares_with_nobody(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It keeps a lock on it, which on /dev/null would make others wait for the engine's end."""
    dockerd = tmp_path / "dockerd"
    dockerd.write_text("#!/bin/sh\nreadlink /proc/self/fd/0; cat; echo ended\n")
    dockerd.chmod(0o755)
    monkeypatch.setattr(engine, "runs_systemd", lambda: False)
    monkeypatch.setattr(engine, "_search_path", lambda: f"{tmp_path}:/usr/bin:/bin")
    process = engine._start(checkout, Report("engine", checkout.logs / "engine.log"))
    assert process is not None
    assert process.wait() == 0
    said = (checkout.cache / "engine" / "dockerd.log").read_text()
    assert said.startswith("pipe:["), said
    assert said.endswith("ended\n"), "there is nothing to read"
