"""What administrators send and get, by the names of RFC 7591."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from services.auth_service.model import ClientRecord
from services.contracts.ids import UUID7_PATTERN
from services.contracts.scopes import SCOPES

_ONE = f"({'|'.join(SCOPES)})"
SCOPE_PATTERN = f"^{_ONE}( {_ONE})*$"

Scope = Annotated[str, Field(pattern=SCOPE_PATTERN, max_length=500, examples=["data:read"])]
ClientId = Annotated[str, Field(pattern=f"^{UUID7_PATTERN}$")]
AuthMethod = Literal["client_secret_basic", "client_secret_post"]
Seconds = Annotated[int, Field(description="Seconds since 1970-01-01, UTC")]


class ClientInput(BaseModel):
    """A client to register. What else RFC 7591 knows of is ignored, as it asks."""

    model_config = ConfigDict(strict=True)

    client_name: Annotated[
        str,
        Field(min_length=1, max_length=200),
        # What the validator refuses, for those who read the document.
        WithJsonSchema(
            {
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "pattern": "^[^\\x00-\\x1f\\x7f]+$",
            }
        ),
    ]
    scope: Scope
    grant_types: list[Literal["client_credentials"]] = ["client_credentials"]
    token_endpoint_auth_method: AuthMethod = "client_secret_basic"  # noqa: S105 - a method's name

    @field_validator("client_name")
    @classmethod
    def _printable(cls, name: str) -> str:
        """No control characters: the name stands in logs."""
        if any(ord(one) < 32 or ord(one) == 127 for one in name):
            raise ValueError("must not have control characters")
        return name


class SecretInfo(BaseModel):
    """When a secret was made and when it ends; never what it is."""

    issued_at: datetime
    expires_at: datetime | None = Field(description="null: when it is replaced")


class ClientInfo(BaseModel):
    """A client, without its secret, which nobody can read again."""

    client_id: ClientId
    client_id_issued_at: Seconds
    client_name: str
    scope: str
    is_active: bool

    @classmethod
    def of(cls, record: ClientRecord) -> ClientInfo:
        return cls(
            client_id=record.client_id,
            client_id_issued_at=int(record.created_at.timestamp()),
            client_name=record.client_name,
            scope=record.scope,
            is_active=record.is_active,
        )


class ClientDetails(ClientInfo):
    """A client with its valid secrets' times."""

    secrets: list[SecretInfo]


class ClientPage(BaseModel):
    """Clients, newest first."""

    items: list[ClientInfo]
    next_cursor: str | None = Field(description="null on the last page")


class NewClient(BaseModel):
    """A registered client. Its secret is shown this once."""

    client_id: ClientId
    client_id_issued_at: Seconds
    client_secret: str
    client_secret_expires_at: Literal[0] = 0
    client_name: str
    scope: str
    grant_types: list[str] = ["client_credentials"]
    token_endpoint_auth_method: str


class SecretInput(BaseModel):
    """How a secret is replaced."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overlap_seconds: int | None = Field(
        default=None,
        strict=False,  # 60.0 is an integer to JSON Schema
        ge=0,
        le=2_592_000,
        description="How long the secret before stays valid; null: as the service is set",
    )
    replace: Literal["oldest", "newest"] | None = Field(
        default=None,
        description="While two secrets are valid: which of them ends at once. `newest` where its"
        " answer was lost; null: 409 then",
    )


class NewSecret(BaseModel):
    """A new secret, shown this once."""

    client_id: ClientId
    client_secret: str
    client_secret_expires_at: Literal[0] = 0
    previous_secret_expires_at: datetime | None = Field(
        description="Until then the one before is valid, too; null: it has ended"
    )
