"""Which metrics each program registers, for the program, which imports no service's code.

Read off the code and not off a process that runs: most are made by what needs a database, keys or
a storage to be made. A call that cannot be read so is an error, never a metric that is missed.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeGuard

import grimp
from prometheus_client.metrics_core import Metric

from docs.reference.services import programs
from services.shared.runtime.metrics import new_registry

FILE: Final = Path(__file__).resolve().parents[2] / "infra" / "monitoring" / "services.json"
_KINDS: Final = {
    "Counter": "counter",
    "Gauge": "gauge",
    "Histogram": "histogram",
    "GaugeMetricFamily": "gauge",
}


class UnreadableError(Exception):
    """A metric is made in a way that is not understood here."""


@dataclass(frozen=True)
class Registered:
    """One metric, under the name by which it is asked for; of a histogram without `_bucket`."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]


def current() -> str:
    """What the file should hold: program to metric to its kind, labels and help."""
    found = {package.rpartition(".")[2]: registered(package) for package in programs()}
    document = {
        name: {
            one.name: {"kind": one.kind, "labels": list(one.labels), "help": one.help}
            for one in sorted(metrics, key=lambda one: one.name)
        }
        for name, metrics in found.items()
        if metrics
    }
    return json.dumps(document, indent=2) + "\n"


def registered(package: str) -> tuple[Registered, ...]:
    """What is made by a class or function that the package calls, or that is called by what it
    imports; nothing if it has no registry, as then nobody is told.

    Raises:
        UnreadableError: with the place of what cannot be read.
    """
    graph = _graph()
    modules = {package, *graph.find_descendants(package)}
    modules |= graph.find_upstream_modules(package, as_package=True)
    called = {name for module in modules for name in _called_in(module)}
    if new_registry.__name__ not in called:
        return ()
    found = [
        one
        for module in sorted(modules)
        for maker, one in _made_in(module)
        if maker in called or maker is None
    ]
    return tuple(dict.fromkeys((*found, *_of_process())))


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph("services", exclude_type_checking_imports=True, cache_dir=None)


@cache
def _tree(module: str) -> ast.Module:
    path = FILE.parents[2].joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _called_in(module: str) -> frozenset[str]:
    calls = (node.func for node in ast.walk(_tree(module)) if isinstance(node, ast.Call))
    return frozenset(ast.unparse(function).rpartition(".")[2] for function in calls)


@cache
def _made_in(module: str) -> tuple[tuple[str | None, Registered], ...]:
    """With the name of the class or function around it."""
    tree = _tree(module)
    reader = Reader(module, tree)
    return tuple(
        (getattr(part, "name", None), one) for part in tree.body for one in reader.within(part)
    )


@cache
def _of_process() -> tuple[Registered, ...]:
    return tuple(_made(family) for family in new_registry().collect() if family.samples)


def _made(family: Metric) -> Registered:
    total = "_total" if family.type == "counter" else ""
    labels = tuple(family.samples[0].labels)
    return Registered(family.name + total, family.type, family.documentation, labels)


class Reader:
    """Reads one module."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self._name = name
        self._tree = tree
        # `Counter` alone could be the one of `collections`.
        self._kinds = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and "prometheus_client" in str(node.module)
            for alias in node.names
        } & _KINDS.keys()
        self._shorthands = {
            node.name: call
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.args.args
            for call in ast.walk(node)
            if self._is_made(call) and _first(call) == node.args.args[0].arg
        }

    def within(self, part: ast.AST) -> Iterator[Registered]:
        shorthands = set(map(id, self._shorthands.values()))
        for node in ast.walk(part):
            if isinstance(node, ast.DictComp) and self._is_made(node.value):
                shorthands.add(id(node.value))
                yield from self._of_table(node, node.value)
            elif self._is_made(node) and id(node) not in shorthands:
                yield self._one(node, *self._texts(node))
            elif isinstance(node, ast.Call) and _called(node) in self._shorthands:
                yield self._one(self._shorthands[_called(node)], *self._texts(node))

    def _is_made(self, node: ast.AST) -> TypeGuard[ast.Call]:
        return isinstance(node, ast.Call) and _called(node) in self._kinds

    def _of_table(self, node: ast.DictComp, call: ast.Call) -> Iterator[Registered]:
        """`{name: Gauge(name, text, …) for name, text in TABLE.items()}`"""
        match node.generators[0].iter:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=table), attr="items")):
                pass
            case _:
                raise self._unreadable(node)
        for name, text in self._table(table, node).items():
            yield self._one(call, name, text)

    def _table(self, name: str, at: ast.AST) -> Mapping[str, str]:
        for node in self._tree.body:
            match node:
                case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value):
                    if found == name:
                        return ast.literal_eval(value)
                case _:
                    pass
        raise self._unreadable(at)

    def _texts(self, call: ast.Call) -> tuple[str, str]:
        match call.args[:2]:
            case [ast.Constant(value=str(name)), ast.Constant(value=str(text))]:
                return name, text
            case _:
                raise self._unreadable(call)

    def _one(self, call: ast.Call, name: str, text: str) -> Registered:
        kind = _KINDS[_called(call)]
        named = [k.value for k in call.keywords if k.arg in ("labels", "labelnames")]
        given = [*call.args[2:3], *named]
        if any(k.arg is None for k in call.keywords):  # `**` may hold labels
            raise self._unreadable(call)
        try:
            labels = tuple(ast.literal_eval(given[0])) if given else ()
        except ValueError:
            raise self._unreadable(call) from None
        total = "_total" if kind == "counter" else ""
        return Registered(name + total, kind, text, labels)

    def _unreadable(self, node: ast.AST) -> UnreadableError:
        line = getattr(node, "lineno", 0)
        return UnreadableError(
            f"{self._name}, line {line}: a metric whose name, help or labels are not written out "
            "where it is made; write them out, or teach docs/reference/metrics.py to read it"
        )


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _first(call: ast.Call) -> str:
    return call.args[0].id if call.args and isinstance(call.args[0], ast.Name) else ""
