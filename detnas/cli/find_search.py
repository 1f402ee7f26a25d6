"""The search that a command names: by its manifest, by its folder in a store, or by its name."""

import re
from pathlib import Path
from typing import Annotated

import typer

from detnas.cli.terminal import say
from detnas.errors import UserError
from detnas.lifecycle.record import load_search_record, searches_named
from detnas.records import keys
from detnas.runner.opening import (
    DEFAULT_STORE,
    OpenedSearch,
    Overrides,
    open_search,
    reopen_search,
    store_uri,
)
from detnas.spec.patterns import LABEL
from detnas.store import open_store

SearchArgument = Annotated[
    str,
    typer.Argument(
        help="A manifest, the folder or URI of a search in the store, or a search's name there."
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Folder or s3:// URI of the store. Default: the manifest's storage.uri, else runs "
        "beside the manifest; for a name ./runs.",
    ),
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace. Default: the manifest's.")
]

_NAMESPACE = "local"
"""Namespace of a manifest's search by default."""


def find_search(search: str, overrides: Overrides) -> OpenedSearch:
    """Find a search that has started.

    Args:
        search: path of its manifest, the folder or URI of the search, or its name.
        overrides: of the command line, in place of the manifest's; a name is looked up there.

    Raises:
        UserError: there is no such search, or it has not started.
    """
    path = Path(search)
    if "://" in search or path.is_dir():
        return reopen_search(search)
    if not path.exists():
        return _by_name(search, overrides)
    opened = open_search(path, overrides)
    if load_search_record(opened.store, opened.requests.search) is None:
        raise UserError(
            f"{search}: its search {opened.uri} has not started",
            _beginning(opened, search, overrides.store),
        )
    if opened.notice:
        say(opened.notice, err=True)
    return opened


def _beginning(opened: OpenedSearch, search: str, store: str | None) -> str:
    there = f" --store {store}" if store else ""
    if opened.requests.spec.dataset.source.directory is not None:
        elsewhere = "" if store else ", or name with --store where it was started"
        return f"start it: detnas run {search}{there}{elsewhere}"
    metadata = opened.requests.manifest.metadata
    return (
        "a cluster's search has another folder: give its status.folder, or its name with the "
        f"store and namespace, such as {metadata.name} --store s3://bucket/prefix -n team-a"
    )


def _by_name(name: str, overrides: Overrides) -> OpenedSearch:
    if not re.search(LABEL, name):
        raise UserError(f"{name}: there is no such file or folder", _what_is_right(""))
    store = open_store(store_uri(overrides.store or DEFAULT_STORE))
    namespace = overrides.namespace or _NAMESPACE
    parent = f"{store.uri}/{keys.searches_folder(namespace)}"
    found = [f"{store.uri}/{folder}" for folder in searches_named(store, namespace, name)]
    if not found:
        raise UserError(
            f"{name}: there is no such file or folder, and no search of that name in {parent}",
            _what_is_right("; or name its store and namespace, with --store and --namespace"),
        )
    if len(found) > 1:
        listed = " or ".join(found)
        raise UserError(
            f"{name}: {len(found)} searches in {parent} have or had that name",
            f"give the folder of one, on a cluster its status.folder: {listed}",
        )
    return reopen_search(found[0])


def _what_is_right(more: str) -> str:
    return (
        "give a search's manifest, or its folder, such as runs/local/searches/digits-0123abcd or "
        f"s3://bucket/prefix/team-a/searches/digits-0123abcd{more}"
    )
