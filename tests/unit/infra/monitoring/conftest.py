from pathlib import Path

import pytest

from bootstrap.checkout import find_checkout
from bootstrap.debian_tools import ALERTMANAGER, PROMTOOL, program


@pytest.fixture(scope="session")
def promtool() -> Path:
    return program(find_checkout(), PROMTOOL, "promtool")


@pytest.fixture(scope="session")
def amtool() -> Path:
    return program(find_checkout(), ALERTMANAGER, "amtool")
