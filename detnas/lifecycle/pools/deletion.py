"""Deletes an unused pool in an order that leaves nothing harmful after a crash."""

import contextlib
import platform
import shlex
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

from detnas.errors import UserError
from detnas.lifecycle.pools.lease import LeaseRecord, PoolLease
from detnas.lifecycle.pools.listing import PoolStatus, PoolUser, pool_users
from detnas.records import keys
from detnas.store import Store
from detnas.store.errors import AlreadyExists, StoreError, VersionConflict
from detnas.store.record_format import decode_record, encode_record

TRAINED_WITHIN = timedelta(minutes=10)
"""The holder of a lease with a more recent heartbeat, by this machine's clock, is alive. Heartbeats
come every 10 seconds; the rest allows for clocks that differ."""


class PoolInUseError(UserError):
    """The pool cannot be deleted."""


def refuse_in_use(users: Iterable[PoolUser]) -> None:
    """Check that no active search uses a pool.

    Raises:
        PoolInUseError: names all that do, and the commands that delete them.
    """
    active = [user for user in users if not user.phase.is_over]
    if not active:
        return
    them, end = ("them", "end") if len(active) > 1 else ("it", "ends")
    wait = f"wait until {'they' if len(active) > 1 else 'it'} {end}"
    commands = "".join(f"\n  {command}" for user in active for command in _deletion(user))
    raise PoolInUseError(
        f"the pool is in use by {', and by '.join(map(_use, active))}",
        f"{wait}; or delete {them} with all results so far:{commands}",
    )


def _use(user: PoolUser) -> str:
    active = f", last active {user.heard:%Y-%m-%d %H:%M} UTC" if user.heard else ""
    return f"search {user.name} in namespace {user.namespace} ({user.phase}{active})"


def _deletion(user: PoolUser) -> Iterator[str]:
    """Yield the commands: a folder remains in use after its resource was deleted."""
    if user.on_cluster:
        yield (
            f"kubectl delete detnas {user.name} --namespace {user.namespace}"
            "   # only if its status.folder is the folder below"
        )
    parts = urlsplit(user.search)
    if parts.scheme == "file":
        yield f"rm -r {shlex.quote(unquote(parts.path))}"
    else:
        yield f"aws s3 rm --recursive {shlex.quote(f'{user.search}/')}"


def delete_pool(store: Store, pool: PoolStatus) -> int:
    """Delete a pool; return the number of its objects.

    The lease is taken first and deleted last: no search begins to train what is being deleted. In
    between the last phase is deleted before the one it was trained from, and each phase's result
    before what it names: a crash leaves a pool with fewer phases, which a second deletion or a
    training continues with.

    Args:
        store: where it is stored.
        pool: the pool.

    Raises:
        PoolInUseError: a search uses or trains it.
    """
    refuse_in_use(pool.users)
    lease, before = _take(store, pool)
    try:
        refuse_in_use(pool_users(store, pool))  # one may have begun before the lease was taken
    except UserError:
        with contextlib.suppress(StoreError):
            lease.release(before)
        raise
    count = 0
    for key in in_order(store.list(f"{pool.key}/"), pool.key):
        if not lease.hold():
            raise PoolInUseError(
                f"{lease.other} has taken the lease of pool {pool.digest}", "try again later"
            )
        store.delete(key)
        count += 1
    store.delete(keys.pool_lease_key(pool.key))
    return count + 1


def in_order(found: Iterable[str], pool: str) -> Iterator[str]:
    """Yield a pool's keys, without its lease's, in the order in which they may be deleted."""
    lease = keys.pool_lease_key(pool)
    yield from sorted((key for key in found if key != lease), key=lambda key: _rank(key, pool))


def _rank(key: str, pool: str) -> tuple[int, int, str]:
    phase, name = keys.pool_phase_of(pool, key), key.removeprefix(f"{pool}/").partition("/")[2]
    # Its request is the last of a phase: it can be trained again from that.
    ranks = {keys.RESULT: 0, keys.REQUEST: 3}
    rank = ranks.get(name, 1 if name.endswith(".json") else 2)
    return 1 if phase is None else -phase, rank, name


def _take(store: Store, pool: PoolStatus) -> tuple[PoolLease, LeaseRecord | None]:
    """Return the lease, which is held, and its record before that."""
    key, holder = keys.pool_lease_key(pool.key), f"detnas pools delete on {platform.node()}"
    stored, before = store.get(key), None
    taken = encode_record(LeaseRecord(holder=holder, heartbeat=datetime.now(UTC)))
    try:
        if stored is None:
            store.put_if_absent(key, taken)
        else:
            before = decode_record(stored.data, f"{store.uri}/{key}", LeaseRecord)
            _refuse_alive(before, holder, datetime.now(UTC))
            store.put_if_match(key, taken, stored.version)
    except (AlreadyExists, VersionConflict) as error:
        problem = f"a search has just begun to train pool {pool.digest}"
        raise PoolInUseError(problem, "detnas pools list shows which") from error
    lease = PoolLease(store, key, holder)
    lease.hold()
    return lease, before


def _refuse_alive(lease: LeaseRecord, holder: str, now: datetime) -> None:
    age = now - lease.heartbeat
    if lease.released or lease.holder == holder or age > TRAINED_WITHIN:
        return
    minutes = TRAINED_WITHIN.total_seconds() / 60
    raise PoolInUseError(
        f"the pool is being trained by {lease.holder}, whose last heartbeat was "
        f"{age.total_seconds():.0f} s ago",
        f"stop that search first; if it has died, try again {minutes:.0f} minutes later",
    )
