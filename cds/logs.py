"""Structured logs: one JSON object a line, and only fields of an allow-list, so no patient data can slip in.

A field that is not listed is dropped and its name reported, never its value.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "logger", "service", "hook", "status", "duration_ms", "method", "route", "film",
        "report", "job", "kind", "attempt", "model", "reason", "code", "count", "cards", "worker", "pid", "host", "port",
        "setting", "version", "rule", "error_type", "error_at", "state", "silent", "identity", "request_id",
    }
)  # fmt: skip


def configure_logs(level: str = "info") -> None:
    """Send logs of the service and of its libraries to standard error as JSON lines."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_allowed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a module."""
    return structlog.get_logger().bind(logger=name)  # type: ignore[no-any-return]


def place_of(error: BaseException) -> dict[str, str]:
    """Return where an error came from, without its message, which may carry data of the input."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else "?"
    return {"error_type": type(error).__name__, "error_at": at}


def _only_allowed(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    dropped = sorted(set(fields) - ALLOWED_FIELDS)
    kept: MutableMapping[str, Any] = {name: value for name, value in fields.items() if name in ALLOWED_FIELDS}
    if dropped:
        kept["setting"] = f"dropped fields: {', '.join(dropped)}"
    return kept
