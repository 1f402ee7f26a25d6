"""Remedies for errors of S3 in a cluster, where no environment is set by hand."""

from detnas.store.errors import (
    CreateOnlyNotHonoured,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UntrustedServer,
    WrongCredentials,
    WrongRegion,
)

_ADVICE: dict[type[StoreError], str] = {
    StoreFull: "free space there; the search continues by itself once there is some",
    UntrustedServer: (
        "the operator's administrator must let the chart's storage.caBundle name the certificates "
        "of its issuer"
    ),
    StoreUnavailable: (
        "check the network and the operator's storage.endpoint; the search continues by itself "
        "once the store answers"
    ),
    WrongCredentials: (
        "the operator's administrator must correct the keys that the chart's storage.credentials "
        "gives or names, or what they may do there (list, read, write, delete), and then restart "
        "the operator"
    ),
    WrongRegion: "the operator's administrator must set the chart's storage.region to its region",
    CreateOnlyNotHonoured: (
        "the operator's administrator must set the chart's storage.endpoint to a server that "
        "honours If-None-Match and If-Match on PUT, or results could be lost"
    ),
}


def for_a_cluster(error: StoreError) -> StoreError:
    """Return the same error with the chart's values in place of a command line's variables."""
    for kind, advice in _ADVICE.items():  # more specific classes come first
        if isinstance(error, kind):
            return kind(error.problem, advice)
    return error
