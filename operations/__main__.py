"""``python -m operations COMMAND``: the Makefile's targets for databases, boards and logs."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from bootstrap.checkout import find_checkout
from bootstrap.cli import exit_with_a_sentence
from bootstrap.kube import KubeError
from infra.model import operations as names
from infra.model.records import RECORDS
from infra.model.servers import DATABASE_ENGINES
from infra.monitoring import openslo
from operations import clusters, request, table
from operations.dashboard import address
from operations.dashboard import command as dashboards
from operations.logs import command as searches
from operations.logs.sought import Sought
from operations.request import RefusedError, Request, Target
from operations.rotate import stack as stacks
from operations.rotate.kinds import all_secrets, chosen
from operations.rotate.rotation import rotate as rotated
from operations.running import Operations


def _given(text: str) -> Any:
    """An option as make hands it on: empty when it was not given."""
    return typer.Option(help=text, show_default=False)


app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console(highlight=False)
aside = Console(highlight=False, stderr=True)
"""Beside what another program may read."""

Db = Annotated[str, _given("the database, like restdb")]
Backup = Annotated[str, _given("a backup's name, as `make backups` has it")]
Confirm = Annotated[str, _given("the database's name again")]
To = Annotated[str, _given("a revision, or status; or a moment, like 2026-01-02T03:04:05Z")]
Secret = Annotated[str, _given("secrets' names, as `make secrets` has them, or kinds, or all")]
StackName = Annotated[str, _given("the stack; the one that runs if not given")]
Flag = Annotated[str, _given("1: yes")]
Span = Annotated[str, _given("how far back, like 15min, 6h or 7d; 1h if not given")]
BoardName = Annotated[str, _given("one board alone, like kafka")]
Url = Annotated[str, _given("of Prometheus, in place of the stack's")]
Port = Annotated[str, _given("where it is served")]
Trace = Annotated[str, _given("a trace id, a traceparent or a correlation id")]
Since = Annotated[str, _given("how far back, like 15min, 6h or 2d; 1h if not given")]


@app.command("schema-load")
def schema_load(db: Db = "") -> None:
    """Bring an empty database to the newest revision."""
    _run(lambda: request.load_schema(request.target(db)))


@app.command()
def migrate(db: Db = "", to: To = "", dry: Flag = "") -> None:
    """Bring a database to a revision; TO=status says at which it is, DRY=1 what would be done."""
    _run(lambda: request.migrate(request.target(db), to, dry_run=_flag("DRY", dry)))


@app.command()
def backup(db: Db = "") -> None:
    """Take a backup and prove it."""
    _run(lambda: request.backup(request.target(db)))


@app.command()
def backups(db: Db = "") -> None:
    """Which backups there are, how old, how large, and when they were proven."""
    chosen = [request.target(db)] if db else list(_one_per_backup())
    kube, missing = clusters.chosen(), list[str]()
    for of in chosen:
        try:
            table.show(_say, names.backed_up(of.server, of.database), table.backups(kube, of))
        except KubeError as error:
            missing.append(str(error))
    if missing:
        raise RefusedError("\n".join(missing))


@app.command()
def restore(
    db: Db = "", backup: Backup = "", confirm: Confirm = "", migrate_first: Flag = ""
) -> None:
    """Put a backup in place of the live data."""
    _run(
        lambda: request.restore(
            request.target(db), backup, confirm, migrate=_flag("MIGRATE", migrate_first)
        )
    )


@app.command("restore-drill")
def restore_drill(db: Db = "", backup: Backup = "") -> None:
    """Restore the newest backup on the side and compare."""
    _run(lambda: request.drill(request.target(db), backup))


@app.command()
def pitr(db: Db = "", to: To = "", confirm: Confirm = "", migrate_first: Flag = "") -> None:
    """Put the data of a moment in place of the live ones."""
    _run(
        lambda: request.pitr(
            request.target(db), to, confirm, migrate=_flag("MIGRATE", migrate_first)
        )
    )


@app.command("restore-unlock")
def restore_unlock(db: Db = "") -> None:
    """Undo or finish what an interrupted restore left."""
    _run(lambda: request.unlock(request.target(db)))


@app.command()
def operation(db: Db = "") -> None:
    """Show what runs on a database's server until it is over."""
    _follow(request.target(db))


@app.command()
def rotate(secret: Secret = "", stack: StackName = "") -> None:
    """Replace secrets while all goes on; what was interrupted is continued."""
    meant = chosen(secret, RECORDS)
    _plainly(lambda: rotated(stacks.current(find_checkout(), stack, _say), meant))


@app.command()
def secrets(stack: StackName = "") -> None:
    """What can be rotated, which generation is in use, and what is in the middle of it."""
    of = stacks.current(find_checkout(), stack, _say)
    rows = (
        (name, kind.name, kind.generation(of, name), kind.phase(of, name))
        for name, kind in all_secrets(RECORDS)
    )
    table.show_secrets(_say, rows)


@app.command()
def dashboard(
    watch: Flag = "", span: Span = "", board: BoardName = "", prometheus: Url = "", port: Port = ""
) -> None:
    """The boards as a page: a file, or with WATCH=1 served and renewed on this machine."""
    checkout = find_checkout()
    asked = dashboards.asked(checkout, span or "1h", board)
    served = dashboards.port(port, checkout)

    def show() -> None:
        with address.found(prometheus) as where:
            if _flag("WATCH", watch):
                dashboards.watch(where, asked, served, _say)
            else:
                dashboards.write(where, asked, checkout.root / dashboards.FILE, _say)

    _plainly(show)


@app.command()
def slo() -> None:
    """What the services promise, in OpenSLO, for another program to read."""
    typer.echo(openslo.exported(), nl=False)


@app.command()
def logs(trace: Trace = "", since: Since = "", raw: Flag = "") -> None:
    """Lines of all pods' logs that are about one request; JSON=1 as objects."""
    sought, span, as_json = Sought.parse(trace), searches.seconds(since), _flag("JSON", raw)
    _plainly(lambda: searches.show(clusters.chosen(), sought, span, _say, _note, raw=as_json))


def _one_per_backup() -> list[Target]:
    """One database of everything that is backed up."""
    found: dict[str, Target] = {}
    for server in RECORDS.servers:
        for name in RECORDS.databases(server=server.name):
            if server.engine in DATABASE_ENGINES:
                found.setdefault(names.backed_up(server, name), Target(name, server))
    return list(found.values())


def _flag(name: str, given: str) -> bool:
    if given not in ("", "1"):
        raise RefusedError(f"{name}={given}: say {name}=1, or leave it out; nothing was done")
    return given == "1"


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def _note(text: str) -> None:
    aside.print(text, markup=False, soft_wrap=True)


def _run(asked: Callable[[], Request]) -> None:
    _plainly(lambda: Operations(clusters.chosen(), _say).run(asked()))


def _follow(of: Target) -> None:
    _plainly(lambda: Operations(clusters.chosen(), _say).follow(of.server))


def _plainly(do: Callable[[], None]) -> None:
    try:
        do()
    except KubeError as error:
        raise RefusedError(str(error)) from error


if __name__ == "__main__":
    exit_with_a_sentence(app, "interrupted")
