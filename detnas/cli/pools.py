"""`detnas pools`: lists the teacher pools of a store, and deletes unused ones."""

from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from detnas.cli.output import Format, FormatOption, print_lines, print_record
from detnas.cli.terminal import say
from detnas.errors import UserError
from detnas.lifecycle.pools.deletion import delete_pool, refuse_in_use
from detnas.lifecycle.pools.listing import PoolStatus, PoolUser, list_pools
from detnas.runner.opening import DEFAULT_STORE, store_uri
from detnas.store import open_store

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        help="Folder or s3:// URI of the store: storage.uri of searches, else runs beside them.",
    ),
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace; by default all.")
]

pools = typer.Typer(
    help="""List the teacher pools of a store, or delete one.

    A pool is trained once and shared by every search with the same teachers and data. It stays
    when searches are deleted.

    The pools of a cluster are read from S3, not from the Kubernetes API: give --store, the
    beginning of status.teachers.pool of a search, and the namespace. Credentials and server are
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, unless it is AWS, AWS_ENDPOINT_URL. With
    --namespace the keys of the namespace's jobs suffice.
    """,
    no_args_is_help=True,
)


@pools.command("list")
def show(
    store: StoreOption = DEFAULT_STORE,
    namespace: NamespaceOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List pools: how far each is trained, its size, who trains it, and which searches use it.

    Examples:
        detnas pools list

        detnas pools list --store s3://bucket/experiments -n team-a

        detnas pools list -o json
    """
    found = list_pools(open_store(store_uri(store)), namespace)
    if output is not Format.TABLE:
        plain = [pool.model_dump(mode="json", by_alias=True) for pool in found]
        print_record({"pools": plain}, output)
        return
    if not found:
        where = f" in namespace {namespace}" if namespace else ""
        say(f"there is no pool{where} in {store}; --store names another store")
        return
    print_lines(_table(found, datetime.now(UTC)))


@pools.command("delete")
def delete(
    pool: Annotated[str, typer.Argument(help="Digest or URI of the pool, as the list shows it.")],
    store: StoreOption = DEFAULT_STORE,
    namespace: NamespaceOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete a pool that no search needs any more.

    A pool that is being trained, or that an unfinished search uses, is refused, and the search is
    named with the commands that stop it. If the command is interrupted, repeat it.

    Exit codes: 0 deleted, 1 the answer was no, 2 there is no such pool, or it is in use.

    Examples:
        detnas pools delete 0123456789abcdef

        detnas pools delete 0123456789abcdef --store s3://bucket/experiments -n team-a --yes
    """
    opened = open_store(store_uri(store))
    found = _only_one(pool, list_pools(opened, namespace), store)
    refuse_in_use(found.users)
    say(f"pool {found.uri}: {_phases(found)} trained, {_size(found.bytes)}", err=True)
    if found.users:
        done = ", ".join(_name(user.search) for user in found.users)
        say(f"{done} used it, and can run no more trials without it", err=True)
    if not yes:
        typer.confirm("delete it?", abort=True, err=True)
    count = delete_pool(opened, found)
    say(f"deleted {count} objects")


def _only_one(pool: str, found: tuple[PoolStatus, ...], store: str) -> PoolStatus:
    named = [one for one in found if pool.rstrip("/") in (one.digest, one.uri)]
    if len(named) == 1:
        return named[0]
    if not named:
        raise UserError(
            f"there is no pool {pool} in {store}",
            f"name another with --store, or list its pools: detnas pools list --store {store}",
        )
    places = ", ".join(one.namespace for one in named)
    raise UserError(f"pool {pool} is in the namespaces {places}", "name one with --namespace")


def _table(found: tuple[PoolStatus, ...], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAMESPACE", "POOL", "TRAINED", "SIZE", "AGE", "TRAINED BY", "USED BY"):
        table.add_column(column, no_wrap=True, justify="right" if column == "SIZE" else "left")
    for pool in found:
        users = [_user(user, now) for user in pool.users]
        table.add_row(
            pool.namespace,
            escape(pool.digest),
            _phases(pool),
            _size(pool.bytes),
            _age(pool.began, now),
            escape(_holder(pool, now)),
            escape("\n".join(users) or "-"),
        )
    return table


def _phases(pool: PoolStatus) -> str:
    return f"{pool.phases} phase" if pool.phases == 1 else f"{pool.phases} phases"


def _holder(pool: PoolStatus, now: datetime) -> str:
    if pool.holder is None:
        return "-"
    return f"{pool.holder}, {_age(pool.heartbeat, now)} ago"


def _user(user: PoolUser, now: datetime) -> str:
    since = ""
    if user.heard is not None and not user.phase.is_over:
        since = f", last heard {_age(user.heard, now)} ago"
    return f"{_name(user.search)} ({user.phase}{since})"


def _name(search: str) -> str:
    return PurePosixPath(search).name


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _age(since: datetime | None, now: datetime) -> str:
    if since is None:
        return "-"
    seconds = max(0, int((now - since).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
