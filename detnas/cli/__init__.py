"""The command line."""

from detnas.cli.app import main

__all__ = ["main"]
