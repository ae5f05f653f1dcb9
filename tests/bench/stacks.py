"""Ways to take the same POST; the variable STACK says which.

Each reads a JSON object, insists that it has a name, and answers 202 with an id.
"""

from __future__ import annotations

import json
import os
from typing import Any

import msgspec
import orjson
from fastapi import FastAPI, Request
from pydantic import BaseModel
from pydantic_core import from_json, to_json
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from services.contracts.ids import new_id

PATH = "/api/data"


class Given(BaseModel):
    name: str
    text: str
    number: int


class Ids(BaseModel):
    ids: list[str]


def _ids(given: Any) -> dict[str, list[str]]:
    if not isinstance(given, dict) or "name" not in given:
        raise ValueError("no name")
    return {"ids": [new_id()]}


def _fastapi_model() -> Any:
    app = FastAPI()

    @app.post(PATH, status_code=202)
    async def accept(given: Given) -> Ids:
        return Ids(ids=[new_id()])

    return app


def _fastapi_raw() -> Any:
    app = FastAPI()

    @app.post(PATH)
    async def accept(request: Request) -> Response:
        return Response(to_json(_ids(from_json(await request.body()))), 202)

    return app


def _starlette() -> Any:
    async def accept(request: Request) -> Response:
        return Response(to_json(_ids(from_json(await request.body()))), 202)

    return Starlette(routes=[Route(PATH, accept, methods=["POST"])])


def _bare(decode: Any, encode: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        answer = encode(_ids(decode(body)))
        length = str(len(answer)).encode()
        headers = [(b"content-length", length), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


STACKS = {
    "fastapi-model": _fastapi_model,
    "fastapi-raw": _fastapi_raw,
    "starlette": _starlette,
    "bare+json": lambda: _bare(json.loads, lambda value: json.dumps(value).encode()),
    "bare+pydantic": lambda: _bare(from_json, to_json),
    "bare+msgspec": lambda: _bare(msgspec.json.decode, msgspec.json.encode),
    "bare+orjson": lambda: _bare(orjson.loads, orjson.dumps),
}


def make() -> Any:
    """The factory that a server is told to call."""
    return STACKS[os.environ["STACK"]]()
