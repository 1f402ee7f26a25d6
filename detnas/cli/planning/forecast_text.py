"""A search's forecast for people."""

from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from detnas.forecast.search_forecast import SearchForecast
from detnas.forecast.spread import Spread
from detnas.runner.tables import duration

_MEGA = 1e6


def forecast_text(found: SearchForecast, name: str) -> RenderableType:
    """Return the forecast as tables and lines.

    Args:
        found: the forecast.
        name: of the manifest.
    """
    images = ", ".join(f"{count:,} {split}" for split, count in found.images.items())
    lines = [f"based on {found.basis}", *(f"note: {note}" for note in found.notes)]
    return Group(
        Text(f"{name} on {found.time.machine}; images: {images}"),
        Text(),
        _parts(found),
        Text(),
        _totals(found),
        Text(),
        *map(Text, lines),
    )


def _parts(found: SearchForecast) -> Table:
    table = Table("jobs", box=None, pad_edge=False)
    for heading in ("number", "at once", "each takes", f"{found.time.unit} hours"):
        table.add_column(heading, justify="right")
    for part in found.time.parts:
        table.add_row(
            part.name,
            str(part.jobs),
            str(part.at_once),
            duration(part.seconds_each.expected),
            _figure(part.device_hours.expected),
        )
    return table


def _totals(found: SearchForecast) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    time, storage = found.time, found.storage
    wall = time.wall_seconds
    table.add_row("wall time", f"{duration(wall.expected)} ({_range(wall, duration)})")
    hours = time.device_hours
    table.add_row(f"{time.unit} hours", f"{_figure(hours.expected)} ({_range(hours, _figure)})")
    kept, more = (one * (1 / _MEGA) for one in (storage.kept, storage.running))
    table.add_row(
        "storage",
        f"{kept.expected:,.0f} MB ({kept.low:,.0f} to {kept.high:,.0f}), and up to "
        f"{more.high:,.0f} MB more while it runs",
    )
    return table


def _range(figure: Spread, text: Callable[[float], str]) -> str:
    return f"{text(figure.low)} to {text(figure.high)}"


def _figure(hours: float) -> str:
    """Hours with two significant digits or more."""
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2f}"
