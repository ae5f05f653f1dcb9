"""Reads the query of a request for endpoints that are called past the framework."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams
from starlette.types import Scope

from services.shared.http.middleware import validation_problem

Query = TypeVar("Query", bound=BaseModel)


def read_query(model: type[Query], scope: Scope) -> Query:
    """The query as `model`, which forbids what it does not name. Raises ProblemError (422)."""
    try:
        if not scope["query_string"]:
            return model()
        return model.model_validate(dict(QueryParams(scope["query_string"])))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise validation_problem(
            [{**one, "loc": ("query", *one["loc"])} for one in errors]
        ) from None
