"""Deletes a pool that nobody needs, so that whatever remains after a crash does no harm."""

import contextlib
import platform
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

from detnas.errors import UserError
from detnas.lifecycle.pools.lease import Claim, PoolLease
from detnas.lifecycle.pools.listing import PoolStatus, PoolUser, pool_users
from detnas.records import keys
from detnas.store import Store
from detnas.store.artifacts import canonical_json, parse_record
from detnas.store.errors import AlreadyExists, StoreError, VersionConflict

TRAINED_WITHIN = timedelta(minutes=10)
"""A heartbeat not older than this, by this machine's clock, is one of somebody alive. Heartbeats
come every 10 seconds; the rest is for clocks that differ."""

_PHASE = re.compile(r"phase-(\d+)")


class PoolInUseError(UserError):
    """A pool that is not to be deleted."""


def refuse_in_use(users: Iterable[PoolUser]) -> None:
    """See that no search that is not over uses a pool.

    Raises:
        PoolInUseError: some do; all are named, and the commands that give them up.
    """
    active = [user for user in users if not user.is_over]
    if not active:
        return
    them, their = ("them", "their ends") if len(active) > 1 else ("it", "its end")
    commands = "".join(f"\n  {command}" for user in active for command in _giving_up(user))
    raise PoolInUseError(
        f"the pool is in use by {', and by '.join(map(_use, active))}",
        f"let {them} come to {their}; or give {them} up, and delete what was found so far:"
        f"{commands}",
    )


def _use(user: PoolUser) -> str:
    heard = f" and was last heard {user.heard:%Y-%m-%d %H:%M} UTC" if user.heard else ""
    return f"search {user.name} in namespace {user.namespace}, which is {user.phase}{heard}"


def _giving_up(user: PoolUser) -> Iterator[str]:
    """Yield the commands; a folder stays in use when its resource has long been deleted."""
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


def delete_pool(
    store: Store,
    pool: PoolStatus,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Delete a pool; return of how many objects.

    The claim is taken first and deleted last: no search begins to train what is being deleted. In
    between the last phase goes before the one it was trained from, each phase's result before what
    it names: after a crash the rest is a pool with fewer phases, which a second deletion or a
    training can take up.

    Args:
        store: where it lies.
        pool: which.
        now: by this machine's clock.

    Raises:
        PoolInUseError: a search uses it, or trains it.
    """
    refuse_in_use(pool.users)
    claim, before = _take(store, pool, now)
    try:
        refuse_in_use(pool_users(store, pool))  # one may have begun before we held it
    except UserError:
        with contextlib.suppress(StoreError):
            claim.release(before)
        raise
    count = 0
    for key in in_order(store.list(f"{pool.key}/"), pool.key):
        if not claim.hold():
            raise PoolInUseError(
                f"{claim.other} has taken over pool {pool.digest}", "try again later"
            )
        store.delete(key)
        count += 1
    store.delete(keys.pool_lease_key(pool.key))
    return count + 1


def in_order(found: Iterable[str], pool: str) -> Iterator[str]:
    """Yield a pool's keys, less its claim's, in the order in which they may go."""
    claim = keys.pool_lease_key(pool)
    yield from sorted((key for key in found if key != claim), key=lambda key: _rank(key, pool))


def _rank(key: str, pool: str) -> tuple[int, int, str]:
    folder, _, name = key.removeprefix(f"{pool}/").partition("/")
    match = _PHASE.fullmatch(folder)
    # A phase's request goes last of it: it can be trained again from what it names.
    ranks = {"result.json": 0, "request.json": 3}
    rank = ranks.get(name, 1 if name.endswith(".json") else 2)
    return -int(match[1]) if match else 1, rank, name


def _take(
    store: Store, pool: PoolStatus, now: Callable[[], datetime]
) -> tuple[PoolLease, Claim | None]:
    """Return the claim, which is ours now, and what was there before."""
    key, holder = keys.pool_lease_key(pool.key), f"detnas pools delete on {platform.node()}"
    stored, before = store.get(key), None
    try:
        if stored is None:
            store.put_if_absent(key, canonical_json(Claim(holder=holder, heartbeat=now())))
        else:
            before = parse_record(stored.data, f"{store.uri}/{key}", Claim)
            _refuse_alive(before, holder, now())
            taken = canonical_json(Claim(holder=holder, heartbeat=now()))
            store.put_if_match(key, taken, stored.version)
    except (AlreadyExists, VersionConflict) as error:
        problem = f"somebody has just begun to train pool {pool.digest}"
        raise PoolInUseError(problem, "see who: detnas pools list") from error
    claim = PoolLease(store, key, holder, now=now)
    claim.hold()
    return claim, before


def _refuse_alive(claim: Claim, holder: str, now: datetime) -> None:
    age = now - claim.heartbeat
    if claim.released or claim.holder == holder or age > TRAINED_WITHIN:
        return
    minutes = TRAINED_WITHIN.total_seconds() / 60
    raise PoolInUseError(
        f"the pool is being trained by {claim.holder}, which said so {age.total_seconds():.0f} s "
        "ago",
        f"stop that search first; if it has died, try again {minutes:.0f} minutes after that",
    )
