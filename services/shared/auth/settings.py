"""What a service that serves an API is told about tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_URL = r"^https?://[^\s?#]*[^\s?#/]$"


class AuthenticationSettings(BaseSettings):
    """Whose tokens an API takes."""

    model_config = SettingsConfigDict(
        env_prefix="AUTH_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    mode: Literal["required", "off"] = "required"
    """`required`: no answer without a valid token, but from /health, /ready, /metrics and
    /openapi.json. `off`: everybody may do everything, for a process on a developer's machine."""
    issuer: str | None = Field(default=None, validate_default=True, pattern=_URL, max_length=200)
    """`iss` of the tokens that are taken: the authorization server's published URL."""
    jwks_url: str | None = Field(default=None, validate_default=True, pattern=_URL, max_length=500)
    """Where the authorization server publishes the keys that it signs with."""
    audience: str = Field(default="millrace", pattern=r"^[A-Za-z0-9._:/-]+$", max_length=200)
    """Must be among the `aud` of a token."""
    leeway_seconds: float = Field(default=5, ge=0, le=60)
    """How far the clock of who issued a token may be from this one."""
    refresh_seconds: float = Field(default=60, ge=1, le=3600)
    """Between two looks for the keys. An unknown one is looked for at once; one that was taken away
    is believed for so long at most, while the authorization server answers."""
    remembered: int = Field(default=10_000, ge=1, le=1_000_000)
    """Most tokens that are remembered as valid; what is not costs a signature."""

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _said_where_required(cls, value: str | None, info: ValidationInfo) -> str | None:
        """AUTH_ISSUER and AUTH_JWKS_URL are given unless AUTH_MODE is off."""
        if value is None and info.data.get("mode") != "off":
            raise ValueError(
                "not set; give it a value, or set AUTH_MODE=off where everybody may do everything"
            )
        return value
