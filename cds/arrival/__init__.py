"""The way in of films and reports: read who and what, store, queue, and only then acknowledge."""

from __future__ import annotations

from cds.arrival.films import FilmArrivals, FilmReceipt
from cds.arrival.reports import ReportArrivals, ReportReceipt

__all__ = ["FilmArrivals", "FilmReceipt", "ReportArrivals", "ReportReceipt"]
