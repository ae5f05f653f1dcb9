"""What `pulumi preview` and `pulumi up` run."""

import pulumi

from components.kit.references import ImageError
from infra.images.catalogue import Catalogue
from infra.images.own import check_images
from infra.model.environment import Environment, VariableError
from infra.model.records import RECORDS, RecordError, Records
from infra.stack import config
from infra.stack.composition import Platform
from infra.stack.images import images
from infra.stack.placeholders import PlaceholderError, refuse_placeholders
from infra.stack.protection import StandInError, refuse_standins
from infra.stack.provider import kubernetes_provider


def run(records: Records = RECORDS) -> None:
    """Build the platform of the current stack.

    Everything the program needs is checked before the first resource is registered, so a wrong
    record, stack file or environment changes nothing.

    Raises:
        pulumi.RunError: records, stack file or environment are wrong; the text says what to do.
    """
    try:
        # First: the stack file is read by what the records say.
        records.check()
        settings = config.load(records)
        environment = Environment.read()
        catalogue = Catalogue(
            settings.images.source, settings.images.overrides, environment.images_file
        )
        check_images(catalogue, environment, images(settings, records))
        refuse_placeholders(settings, environment)
        refuse_standins(settings, environment, preview=pulumi.runtime.is_dry_run())
    except (RecordError, ImageError, VariableError, PlaceholderError, StandInError) as error:
        raise pulumi.RunError(str(error)) from error
    provider = kubernetes_provider(settings.kubernetes, environment)
    platform = Platform(settings, environment, catalogue, provider, records)
    for name, value in platform.outputs().items():
        pulumi.export(name, value)
