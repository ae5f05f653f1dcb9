"""Settings of the authorization server alone."""

from __future__ import annotations

from pydantic import DirectoryPath, Field, FilePath
from pydantic_settings import BaseSettings, SettingsConfigDict


class AuthSettings(BaseSettings):
    """What tokens say, how long they last, and how clients prove who they are."""

    model_config = SettingsConfigDict(
        env_prefix="AUTH_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    issuer: str = Field(pattern=r"^https?://[^\s?#]*[^\s?#/]$", max_length=200)
    """The service's published URL, without a slash at its end; `iss` of every token."""
    audience: str = Field(default="millrace", pattern=r"^[A-Za-z0-9._:/-]+$", max_length=200)
    """`aud` of every token: whom they are for."""
    keys_dir: DirectoryPath
    """Folder of the signing keys: `<kid>.pem`, each an EC private key on P-256, and a file `active`
    with the kid of the one that signs. All are published; looked at again every second."""
    admin_secret_file: FilePath
    """File with the secret of the client `administrator`; read whenever it comes."""
    lifetime_seconds: int = Field(default=600, ge=30, le=86_400)
    """How long a token is valid."""
    client_seconds: float = Field(default=10, ge=0, le=300)
    """How long what the database said of a client is believed: so much later, at most, a client
    that was deactivated, or a secret that was replaced, gets no more tokens, from any process."""
    overlap_seconds: int = Field(default=3600, ge=0, le=2_592_000)
    """How long the secret before stays valid beside a new one, where the request does not say."""
    refusal_seconds: float = Field(default=0.3, ge=0, le=5)
    """A client that is refused hears it this long after it asked, whatever was wrong, so that the
    time says nothing about which clients there are."""
    failures_per_client: int = Field(default=10, ge=1, le=10_000)
    """Wrong secrets a minute for one client id; those beyond are answered 429."""
    failures_per_address: int = Field(default=100, ge=1, le=1_000_000)
    """Wrong secrets a minute from one address, whichever clients they name."""
    hash_threads: int = Field(default=2, ge=1, le=64)
    """Threads for bcrypt, each up to a core while secrets are verified that are new to it."""
