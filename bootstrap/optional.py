"""Images that are made only where the stack asks for them, as making them takes long.

Of a stack without them nothing is fetched or compiled.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import yaml

from bootstrap.checkout import Checkout

_SECTIONS: Final = {"loki": "logs"}
"""Image to the section of the stack file that has it while ``enabled`` is true."""


def asked_for(checkout: Checkout, stack: str) -> frozenset[str]:
    """Names of the optional images that ``stack`` is made of and this machine has to build."""
    path = checkout.root / f"Pulumi.{stack}.yaml"
    if not path.exists():  # whoever selects the stack says so
        return frozenset()
    return of_settings(_mapping(_mapping(yaml.safe_load(path.read_text())).get("config")))


def of_settings(config: Mapping[str, Any]) -> frozenset[str]:
    """The same, of what a stack file has under ``config``. Whether that is a stack at all is the
    program's to say: what is no table here asks for nothing.
    """
    images = _mapping(config.get("millrace:images"))
    given = _mapping(images.get("overrides"))
    if images.get("source") != "local":
        return frozenset()
    return frozenset(
        image
        for image, section in _SECTIONS.items()
        if _mapping(config.get(f"millrace:{section}")).get("enabled") is True and image not in given
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}
