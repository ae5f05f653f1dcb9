"""The whole platform of a committed stack file, composed over recording mocks."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.images.catalogue import Catalogue
from infra.images.own import check_images
from infra.model.environment import Environment
from infra.model.images import IMAGE_NAMES
from infra.model.records import RECORDS, Records
from infra.model.settings import PlatformSettings
from infra.stack.composition import Platform
from infra.stack.diff import load_stack
from infra.stack.images import images
from infra.stack.provider import kubernetes_provider
from tests.harness.platforms import image
from tests.harness.recording import Recording, build

STACKS = ("airgap", "dev", "prod")


def compose(settings: PlatformSettings, records: Records = RECORDS) -> tuple[Recording, Platform]:
    """Build a platform as `infra.stack.program.run` does, on a machine where `make up` has run."""
    with TemporaryDirectory() as folder:
        images_file = Path(folder) / "images.json"
        images_file.write_text(json.dumps({name: image(name) for name in IMAGE_NAMES}))
        environment = Environment(
            images_file=images_file, registry="localhost:30500", cluster_id="test"
        )
        catalogue = Catalogue(settings.images.source, settings.images.overrides, images_file)
        check_images(catalogue, environment, images(settings, records))
        records.check()

        def program() -> Platform:
            provider = kubernetes_provider(settings.kubernetes, environment)
            return Platform(settings, environment, catalogue, provider, records)

        return build(program)


@cache
def composed(stack: str) -> Recording:
    """What the stack registers; built once, only read."""
    return compose(load_stack(stack))[0]
