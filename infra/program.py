"""What `pulumi preview` and `pulumi up` run."""

import pulumi

from infra import config
from infra.composition import Platform
from infra.environment import Environment, VariableError
from infra.images import Catalogue, ImageError
from infra.placeholders import PlaceholderError, refuse_placeholders
from infra.protection import StandInError, refuse_standins
from infra.provider import kubernetes_provider
from infra.services_image import check_images


def run() -> None:
    """Build the platform of the current stack.

    Everything the program needs is checked before the first resource is registered, so a wrong
    stack file or environment changes nothing.

    Raises:
        pulumi.RunError: stack file or environment is wrong; the text says what to do.
    """
    settings = config.load()
    try:
        environment = Environment.read()
        catalogue = Catalogue(
            settings.images.source, settings.images.overrides, environment.images_file
        )
        check_images(catalogue, environment)
        refuse_placeholders(settings, environment)
        refuse_standins(settings, environment, preview=pulumi.runtime.is_dry_run())
    except (ImageError, VariableError, PlaceholderError, StandInError) as error:
        raise pulumi.RunError(str(error)) from error
    provider = kubernetes_provider(settings.kubernetes, environment)
    platform = Platform(settings, environment, catalogue, provider)
    for name, value in platform.outputs().items():
        pulumi.export(name, value)
