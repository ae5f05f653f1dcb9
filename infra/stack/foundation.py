"""What everything else stands on: namespaces, the internal CA, the images."""

from dataclasses import dataclass
from typing import Final

import pulumi

from components.kit.args import Text
from components.security.namespaces import Namespaces, NamespacesArgs
from components.security.pki import CertificateAuthority, CertificateAuthorityArgs
from infra.images.catalogue import Catalogue
from infra.images.own import SERVICES, own_image
from infra.model.environment import Environment
from infra.model.objects import APPS, DATA, LOADTEST, LOGGING, MONITORING
from infra.model.records import Records
from infra.model.settings import PlatformSettings

INSIDE: Final = (DATA, APPS, MONITORING)
"""The namespaces whose pods trust the internal CA, beside that of who reads logs."""


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
    generator = (LOADTEST,) if settings.loadtest.enabled else ()
    readers = (LOGGING,) if settings.logs.enabled else ()
    names = (*INSIDE, *readers, *generator)
    namespaces = Namespaces("namespaces", NamespacesArgs(names=names, lent=readers), child)
    # The load generator is a user: it comes from outside and trusts what users trust.
    inside = {name: namespaces.names[name] for name in (*INSIDE, *readers)}
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
