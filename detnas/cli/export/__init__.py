"""`detnas export`: detectors of a search as files that run anywhere."""

from detnas.cli.export.command import export

__all__ = ["export"]
