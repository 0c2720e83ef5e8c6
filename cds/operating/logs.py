"""Structured logs: one JSON object a line, and only fields of an allow-list, so no patient data can slip in.

A field that is not listed is dropped and its name reported, never its value. What a library logs or warns is named
by its logger and place; its words are kept out, because they may quote the input.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "module", "service", "hook", "status", "duration_ms", "method", "route", "film",
        "report", "job", "kind", "attempt", "model", "reason", "code", "count", "cards", "worker", "pid", "host",
        "port", "setting", "version", "rule", "error_type", "error_at", "state", "silent", "identity", "request_id",
        "head",
    }
)  # fmt: skip

_WORDS_ARE_ITS_OWN = frozenset({"uvicorn", "uvicorn.error"})


def configure_logs(level: str = "info") -> None:
    """Send logs of the program and of its libraries to standard error as JSON lines."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_allowed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=level.upper(), handlers=[_LibraryLogs()], force=True)
    logging.captureWarnings(True)


def log_crashes() -> None:
    """Log what ends a process or a thread by its place, instead of a trace that may quote the input."""
    sys.excepthook = _log_crash
    threading.excepthook = lambda crash: _log_crash(crash.exc_type, crash.exc_value, crash.exc_traceback)


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a module; it follows `configure_logs` even when made before."""
    return structlog.get_logger(module=name)  # type: ignore[no-any-return]


def place_of(error: BaseException) -> dict[str, str]:
    """Return where an error came from, without its message, which may carry data of the input."""
    return _place(type(error), error.__traceback__)


def _place(kind: type[BaseException], trace: TracebackType | None) -> dict[str, str]:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else "?"
    return {"error_type": kind.__name__, "error_at": at}


class _LibraryLogs(logging.Handler):
    """Passes on who warned and how grave it is; the words only of the web server, which knows no patient."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and record.name not in _WORDS_ARE_ITS_OWN:
            return
        fields: dict[str, Any] = {}
        if record.exc_info and record.exc_info[0] is not None:
            fields = _place(record.exc_info[0], record.exc_info[2])
        elif record.name in _WORDS_ARE_ITS_OWN:
            fields = {"reason": record.getMessage()}
        level = logging.DEBUG if record.name == "py.warnings" else record.levelno
        logger(record.name).log(level, "library message", **fields)


def _log_crash(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logger(__name__).critical("crashed", **_place(kind, trace))


def _only_allowed(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    dropped = sorted(set(fields) - ALLOWED_FIELDS)
    kept: MutableMapping[str, Any] = {name: value for name, value in fields.items() if name in ALLOWED_FIELDS}
    if dropped:
        kept["setting"] = f"dropped fields: {', '.join(dropped)}"
    return kept
