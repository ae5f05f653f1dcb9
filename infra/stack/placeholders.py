"""Values of a stack file that stand where only the cluster's owner can put the right one."""

import re
from typing import Final

from infra.model.environment import Environment
from infra.model.settings import PlatformSettings
from infra.stack.diff import flat

_MARKS: Final = re.compile(
    r"(?<![\w-])placeholder(?![\w-])|sha256:0{64}"
    r"|(?<![\w-])example\.com(?![\w-]|\.\w)"
)
"""The word itself; the digest of no image; the domain that RFC 2606 keeps for documentation, and
what is below it. Not what only contains them: `api.myexample.com` is somebody's."""


class PlaceholderError(ValueError):
    """A stack file still holds placeholders; the message names every one."""


def refuse_placeholders(settings: PlatformSettings, environment: Environment) -> None:
    """Stop a stack that would wait in a cluster for what nobody has named yet.

    A rendering may hold them: it is looked at, not run.

    Raises:
        PlaceholderError: one line per placeholder.
    """
    if environment.render_dir is not None:
        return
    found = [
        f"  - millrace:{key} is {value}"
        for key, value in flat(settings).items()
        if _MARKS.search(value)
    ]
    if found:
        raise PlaceholderError(
            "the stack file still holds placeholders; nothing was touched:\n"
            + "\n".join(found)
            + "\nWhat belongs there is said beside each, and in README, Production."
        )
