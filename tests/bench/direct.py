"""The rival of a stream: an endpoint that has documents in PostgreSQL before it answers.

As lean as ours: bare ASGI, the same JSON, the same rules, a connection pool of 64, one statement
and one commit per request.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from pydantic_core import to_json

from services.ingest_service.settings import IngestSettings
from services.shared.documents import bodies
from services.shared.postgres.database import Database
from services.shared.runtime.settings import DatabaseSettings, load

CONNECTIONS = 64
_INSERT = """
INSERT INTO documents (id, document, entry_ms, entry_seq)
SELECT id, document::jsonb, 1, 1 FROM unnest($1::text[], $2::text[]) AS t(id, document)
ON CONFLICT (id) DO UPDATE SET document = excluded.document, updated_at = now()
"""


def make() -> Any:
    """The factory that uvicorn is told to call."""
    settings = load(DatabaseSettings).model_copy(update={"pool_size": CONNECTIONS})
    limits = IngestSettings()
    database = Database(settings, CollectorRegistry(), application_name="direct")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await database.open()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await database.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        status, answer = 202, b"{}"
        if scope["method"] == "POST":
            documents = bodies.read(body, None, limits)
            ids = [name for name, _ in documents]
            async with database.connection() as connection:
                await connection.execute(_INSERT, ids, [text.decode() for _, text in documents])
            answer = to_json({"ids": ids})
        length = str(len(answer)).encode()
        headers = [(b"content-length", length), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app
