"""The reference of a stack file and of the program's variables, from `infra`."""

import ast
import inspect
import re
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.reference.accepts import accepts, default, first_paragraph, model_of, refusals
from docs.reference.table import table
from infra.model.environment import Environment
from infra.model.settings import PlatformSettings, ServiceSettings, ServicesSettings


def sections() -> str:
    """One section per top-level key: its rows, and what is refused among them."""
    parts: list[str] = []
    shared: dict[type[BaseModel], None] = {}
    for name, field in PlatformSettings.model_fields.items():
        key, model = field.alias or name, model_of(field)
        parts.append(f"### `millrace:{key}`")
        if model is None:
            parts.append(_table([_row(key, field)]))
            continue
        # A table of tables: its keys are names, so the rows are those of one service.
        each = ServiceSettings if model is ServicesSettings else model
        prefix = "" if each is model else "<service>."
        parts += [first_paragraph(model), _table(list(_rows(each, prefix))), *_refused(model)]
        shared |= dict.fromkeys(filter(None, map(model_of, each.model_fields.values())))
    for model in shared:
        parts += [f"### {_title(model)}", _table(list(_leaves(model, ""))), *_refused(model)]
    return "\n\n".join([*parts, "### Across sections", *_refused(PlatformSettings)])


def variables() -> str:
    """The program's environment variables: the attribute docstrings of `Environment`."""
    [definition] = ast.parse(inspect.getsource(Environment)).body
    texts = [
        " ".join(node.value.value.split())
        for node in getattr(definition, "body", [])[1:]
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    return table(
        ("Variable", "Says"),
        (
            (f"`{name}`", said.strip()[:1].upper() + said.strip()[1:])
            for name, _, said in (text.partition(":") for text in texts)
        ),
    )


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, ...]]:
    """One row per field; what nests in it has a section of its own."""
    for name, field in model.model_fields.items():
        yield _row(f"{prefix}{field.alias or name}", field)


def _leaves(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, ...]]:
    """One row per scalar, however deep."""
    for name, field in model.model_fields.items():
        key, inner = f"{prefix}{field.alias or name}", model_of(field)
        if inner is None:
            yield _row(key, field)
        else:
            yield from _leaves(inner, f"{key}.")


def _row(key: str, field: FieldInfo) -> tuple[str, ...]:
    inner = model_of(field)
    said = f"[{_title(inner)}](#{_anchor(_title(inner))})" if inner else ""
    if inner is not field.annotation:
        said = ", or ".join(filter(None, (accepts(field), said)))
    shown = "*required*" if field.is_required() else default(field.default)
    return f"`{key}`", said, shown, field.description or ""


def _anchor(title: str) -> str:
    """Where a heading is found: without its punctuation."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _title(model: type[BaseModel]) -> str:
    return first_paragraph(model).removesuffix(".")


def _table(rows: list[tuple[str, ...]]) -> str:
    return table(("Key", "Accepts", "Default", "Meaning"), rows)


def _refused(model: type[BaseModel]) -> list[str]:
    said = [f"- {sentence}" for sentence in refusals(model)]
    return ["Refused unless:", "\n".join(said)] if said else []
