"""How kopf is to behave: watch, and write nothing at all."""

import itertools
from collections.abc import Iterator
from typing import Any

import kopf

OURS = "operator.detnas.dev"
"""Prefix of what kopf would write to objects; with event handlers alone it writes nothing."""

WATCH_SECONDS = 300
CLIENT_SECONDS = 330.0
REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 5.0
PAGE = 500


class EndlessBackoffs:
    """Pauses between attempts that never end: an absent API server is no reason to exit."""

    def __iter__(self) -> Iterator[float]:
        """Yield 1, 1, 2, 3, 5, 8 and then 10 s, for ever."""
        return itertools.chain((1.0, 1.0, 2.0, 3.0, 5.0, 8.0), itertools.repeat(10.0))


class NoDiffs(kopf.AnnotationsDiffBaseStorage):
    """Remembers no last seen state: without it, every event would be copied and compared."""

    def build(self, **_: Any) -> Any:
        """Return nothing to compare."""
        return {}

    def fetch(self, **_: Any) -> Any:
        """Return that nothing was stored."""
        return


def kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings for this operator."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # namespaces and CRDs need no permission of their own
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = CLIENT_SECONDS
    settings.watching.chunk_size = PAGE
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.error_backoffs = EndlessBackoffs()
    settings.persistence.finalizer = f"{OURS}/finalizer"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=OURS)
    settings.persistence.diffbase_storage = NoDiffs(prefix=OURS)
    settings.queueing.idle_timeout = 1.0  # a worker of a quiet object costs more than a new one
    # It would kill the process so long after watches that were only begun anew.
    settings.process.ultimate_exiting_timeout = None
    return settings
