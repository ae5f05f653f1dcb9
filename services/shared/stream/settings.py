"""Where the document stream is."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from services.shared.runtime.settings import RedisSettings


class StreamSettings(RedisSettings):
    """The Redis server that keeps the document stream, over TLS with an ACL user."""

    model_config = SettingsConfigDict(
        env_prefix="REDIS_STREAM_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )
