"""`detnas export`: detectors of a search as files that run anywhere."""

from detnas.cli.detectors.export.command import export

__all__ = ["export"]
