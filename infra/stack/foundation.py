"""What everything else stands on: namespaces, the internal CA, the images."""

from dataclasses import dataclass

import pulumi

from components.kit.args import Text
from components.security.namespaces import Namespaces, NamespacesArgs
from components.security.pki import CertificateAuthority, CertificateAuthorityArgs
from infra.images.catalogue import Catalogue
from infra.images.own import SERVICES, own_image
from infra.model.environment import Environment
from infra.model.objects import APPS, DATA, LOADTEST
from infra.model.records import Records
from infra.model.settings import PlatformSettings


@dataclass(frozen=True)
class Foundation:
    """Handed to everything that is built on it."""

    settings: PlatformSettings
    catalogue: Catalogue
    namespaces: Namespaces
    authority: CertificateAuthority
    services_image: Text
    records: Records
    """Services and servers; what exists in the servers follows from these records."""
    parent: pulumi.Resource

    @property
    def child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self.parent)


def lay(
    settings: PlatformSettings,
    environment: Environment,
    catalogue: Catalogue,
    records: Records,
    parent: pulumi.Resource,
) -> Foundation:
    """Make namespaces and CA, and build the services image or take the one given."""
    child = pulumi.ResourceOptions(parent=parent)
    image = own_image(SERVICES, catalogue, environment, child)
    more = (LOADTEST,) if settings.loadtest.enabled else ()
    namespaces = Namespaces("namespaces", NamespacesArgs(names=(DATA, APPS, *more)), child)
    # The load generator is a user: it comes from outside and trusts what users trust.
    inside = {name: namespaces.names[name] for name in (DATA, APPS)}
    said = settings.rotation.authority
    authority = CertificateAuthority(
        "internal-ca",
        CertificateAuthorityArgs(
            namespaces=inside,
            generation=said.generation,
            previous=said.previous if said.previous != "forgotten" else None,
        ),
        child,
    )
    return Foundation(settings, catalogue, namespaces, authority, image, records, parent)
