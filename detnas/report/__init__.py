"""The report: one page, readable without network, of what a search did and gained."""

from detnas.report.writing import publish_report, write_report

__all__ = ["publish_report", "write_report"]
