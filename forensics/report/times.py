"""Times for people and programs, always UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(nanoseconds: int) -> str:
    """``2017-07-01T10:00:00.000000001Z`` of nanoseconds since the epoch (RFC 3339 5.6)."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def to_the_ms(nanoseconds: int) -> str:
    """``2017-07-01 10:00:00.000`` for reading."""
    return rfc3339(nanoseconds)[:23].replace("T", " ")
