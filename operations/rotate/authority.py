"""The internal CA: everybody trusts both before the new one signs, and until all servers present
what it signed."""

from collections.abc import Callable
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from bootstrap.kube import KubeError
from infra.model.objects import APPS, DATA, MONITORING
from infra.model.records import Records
from operations.request import FailedError
from operations.rotate import presented
from operations.rotate.holders import missing
from operations.rotate.kind import Changes, Kind, Phase, Step
from operations.rotate.passwords import SYNC_SECONDS
from operations.rotate.stack import Stack

_NAME: Final = "authority"
_BUNDLE: Final = "millrace-ca"
_KEY: Final = "ca.crt"


def _secrets(_records: Records) -> list[str]:
    return [_NAME]


def _begin(stack: Stack, _secret: str) -> Changes:
    generation = stack.rotation.authority.generation + 1
    return {
        "rotation.authority.generation": generation,
        "rotation.authority.previous": "signs",
    }


def _update(stack: Stack, _secret: str) -> None:
    stack.update()


def _wait_for_bundles(stack: Stack, _secret: str) -> None:
    def lacking() -> str:
        found = [missing(stack.kube, _BUNDLE, _KEY, "configmap")]
        found += [missing(stack.kube, f"{one.name}-tls", _KEY) for one in stack.records.servers]
        return ", ".join(filter(None, found))

    stack.wait("every pod sees the CAs that are trusted now", lacking, SYNC_SECONDS)


def _wait_for_servers(stack: Stack, _secret: str) -> None:
    newest = _bundle(stack, DATA)[-1]

    def lacking() -> str:
        try:
            return presented.others(stack.kube, _pem(newest))
        except KubeError as error:
            return str(error)

    what = "every server presents a certificate of the new CA"
    stack.wait(what, lacking, SYNC_SECONDS)


def _prove(stack: Stack, _secret: str) -> None:
    """Raises FailedError when the old CA is good for anything."""
    (retired,) = x509.load_pem_x509_certificates(stack.output("retired_ca_certificate").encode())
    for namespace in (APPS, DATA, MONITORING):
        for trusted in _bundle(stack, namespace):
            if issued(retired, trusted):
                raise FailedError(
                    f"{namespace}/{_BUNDLE} still trusts the old CA; see that the last update "
                    "went through, then the same command continues"
                )
    if left := presented.any_of(stack.kube, _pem(retired)):
        raise FailedError(f"still presented: certificates of the old CA, by {left}")


def issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    """Whether who trusts `by` takes the certificate."""
    try:
        certificate.verify_directly_issued_by(by)
    except (InvalidSignature, ValueError):
        return False
    return True


def _bundle(stack: Stack, namespace: str) -> list[x509.Certificate]:
    """The older one first."""
    found = stack.kube.json("get", "configmap", _BUNDLE, "-n", namespace)
    return x509.load_pem_x509_certificates(found["data"][_KEY].encode())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _then(previous: str | None) -> Callable[[Stack, str], Changes]:
    return lambda _stack, _secret: {"rotation.authority.previous": previous}


KIND: Final = Kind(
    name="authority",
    secrets=_secrets,
    generation=lambda stack, _: str(stack.rotation.authority.generation),
    phase=lambda stack, _: stack.rotation.authority.previous or "",
    begin=_begin,
    phases=(
        Phase(
            "signs",
            [
                Step("a new CA is trusted beside the old one", _update),
                Step("every pod trusts both", _wait_for_bundles),
            ],
            _then("trusted"),
        ),
        Phase(
            "trusted",
            [
                Step("the new CA signed all certificates", _update),
                Step("every server presents its own", _wait_for_servers),
            ],
            _then("refused"),
        ),
        Phase(
            "refused",
            [
                Step("the old CA is in no bundle", _update),
                Step("no pod trusts it any more", _wait_for_bundles),
                Step("what it signed was seen to be refused", _prove),
            ],
            _then("forgotten"),
        ),
        Phase(
            "forgotten",
            [Step("the old CA's key is gone from the state", _update)],
            _then(None),
        ),
    ),
)
