"""Every long-running program of the services ends the same way when its environment is wrong."""

import importlib

import pytest

from docs.reference.services import models, programs

SERVICES = [name for name, read in programs().items() if any("Service" in m.__name__ for m in read)]


def test_the_services_are_found():
    assert len(SERVICES) >= 3


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_not_configured_says_so_and_ends_with_exit_code_1(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for model in models():
        prefix = str(model.model_config.get("env_prefix") or "")
        for name in model.model_fields:
            monkeypatch.delenv((prefix + name).upper(), raising=False)
    monkeypatch.setattr("sys.argv", [service])
    main = importlib.import_module(f"{service}.__main__").main
    assert main() == 1
    assert "SERVICE_NAME: not set; give it a value" in capsys.readouterr().err
