"""Which version of detnas this is."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """Return the installed version, or "unknown" where it runs without being installed."""
    try:
        return version("detnas")
    except PackageNotFoundError:
        return "unknown"
