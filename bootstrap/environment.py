"""The environment in which ``pulumi``, ``kubectl`` and friends work on this checkout's platform."""

import os
import secrets
from collections.abc import Mapping

from bootstrap.builder import settings_folder
from bootstrap.checkout import Checkout, saved_context


def make_passphrase(checkout: Checkout) -> None:
    """Create the passphrase that encrypts secrets in Pulumi's state, once, mode 0600."""
    checkout.make_state()
    try:
        descriptor = os.open(checkout.passphrase_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))


def own_variables(checkout: Checkout, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables we set, and nothing else; what ``make env`` prints."""
    context = saved_context(checkout.state)
    variables = {
        "KUBECONFIG": str(checkout.kubeconfig),
        "PULUMI_HOME": str(checkout.state / "pulumi-home"),
        # A file backend of the checkout's own; project-scoped, as Pulumi keeps them by default.
        "PULUMI_BACKEND_URL": f"file://{checkout.state / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(checkout.passphrase_file),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "MILLRACE_IMAGES_FILE": str(checkout.images_file),
        "MILLRACE_REGISTRY": checkout.registry,
        "MILLRACE_CLUSTER_ID": str(context.get("cluster_id", checkout.id)),
        "MILLRACE_PORT_OFFSET": str(checkout.port_offset),
        "VIRTUAL_ENV": str(checkout.root / ".venv"),
        "PATH": ":".join(
            dict.fromkeys(
                [
                    str(checkout.bin),
                    str(checkout.root / ".venv" / "bin"),
                    *environ.get("PATH", "").split(":"),
                ]
            )
        ),
    }
    if (builder := settings_folder(checkout)).is_dir():
        variables["BUILDX_CONFIG"] = str(builder)
    if stack := context.get("stack"):
        variables["PULUMI_STACK"] = str(stack)
    return variables


def shell_environment(
    checkout: Checkout, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """A whole environment for a child process: the caller's, with ours on top."""
    # A passphrase in the caller's environment would win over our file and not fit our state.
    kept = {name: value for name, value in environ.items() if name != "PULUMI_CONFIG_PASSPHRASE"}
    return kept | own_variables(checkout, environ)
