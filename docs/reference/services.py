"""The reference of the services' variables, from their settings and from who loads them."""

import ast
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from functools import cache
from operator import attrgetter
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

import services
from docs.reference.accepts import accepts, default, first_paragraph, refusals
from docs.reference.table import table


def variables() -> str:
    """A section per model of settings: who reads it, its variables, what is refused among them."""
    parts: list[str] = []
    for model in models():
        prefix = str(model.model_config.get("env_prefix") or "")
        readers = ", ".join(f"`{name}`" for name, read in programs().items() if model in read)
        parts += [
            f"### {_title(model)}",
            f"{first_paragraph(model)} Read by {readers}.",
            table(
                ("Variable", "Accepts", "Default", "Meaning"),
                (
                    (
                        f"`{(prefix + name).upper()}`",
                        accepts(field),
                        _default(field),
                        field.description or "",
                    )
                    for name, field in model.model_fields.items()
                ),
            ),
        ]
        if insisted := list(refusals(model)):
            parts += ["Refused unless:", "\n".join(f"- {sentence}" for sentence in insisted)]
    return "\n\n".join(parts)


@cache
def programs() -> dict[str, tuple[type[BaseSettings], ...]]:
    """Package with a `__main__` to the models of settings it loads from the environment."""
    models()  # imports what may not be imported yet
    found: dict[str, tuple[type[BaseSettings], ...]] = {}
    for main in sorted(_folder().rglob("__main__.py")):
        package = ".".join(main.parent.relative_to(_folder().parent).parts)
        module = importlib.import_module(f"{package}.__main__")
        # Names are the module's own: two services may call theirs the same.
        loaded = (attrgetter(name)(module) for name in _loaded(main))
        found[package] = tuple(dict.fromkeys(one for one in loaded if _is_a_model(one)))
    return found


@cache
def models() -> tuple[type[BaseSettings], ...]:
    """Every model of settings in `services`, those that more programs read first."""
    for module in pkgutil.walk_packages(services.__path__, f"{services.__name__}."):
        found = importlib.util.find_spec(module.name)
        if found and found.origin and "Settings):" in Path(found.origin).read_text("utf-8"):
            importlib.import_module(module.name)
    own = [m for m in _leaves(BaseSettings) if m.__module__.startswith(services.__name__)]
    return tuple(sorted(own, key=lambda model: (_is_a_services(model), model.__module__)))


def _leaves(base: type[BaseSettings]) -> Iterator[type[BaseSettings]]:
    """What inherits from `base` and has a prefix of its own, or is not itself inherited from: the
    rest lends its fields."""
    for model in base.__subclasses__():
        if model.model_config.get("env_prefix") or not model.__subclasses__():
            yield model
        yield from _leaves(model)


def _is_a_services(model: type[BaseSettings]) -> bool:
    """Whether one service alone has it."""
    parts = model.__module__.split(".")
    return (_folder() / parts[1] / "__main__.py").exists()


def _is_a_model(loaded: object) -> bool:
    return isinstance(loaded, type) and issubclass(loaded, BaseSettings)


def _loaded(main: Path) -> Iterator[str]:
    """The names in `load(Name)` and `settings.load(settings.Name)`, as they are written there."""
    for node in ast.walk(ast.parse(main.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(
                func=ast.Name(id="load") | ast.Attribute(attr="load"),
                args=[(ast.Name() | ast.Attribute()) as name],
            ):
                yield ast.unparse(name)
            case _:
                pass


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "*by the machine*"
    return "*required*" if field.is_required() else default(field.default)


def _title(model: type[BaseSettings]) -> str:
    prefix = str(model.model_config.get("env_prefix") or "")
    name = model.__name__.removesuffix("Settings")
    return f"{name}: `{prefix}*`" if prefix else name


def _folder() -> Path:
    return Path(next(iter(services.__path__)))
