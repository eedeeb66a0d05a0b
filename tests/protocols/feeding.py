"""Feeds a parser in the three ways every parser of streams must bear."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def feed_three_ways(
    parse: Callable[[bytes], T | None], stream: bytes, trailing: bytes = b"\x17\x03\x03junk"
) -> T:
    """The message that ``stream`` holds, after checking that it is the same however it arrives."""
    whole = parse(stream)
    assert whole is not None
    for length in range(len(stream)):
        assert parse(stream[:length]) is None, f"a message from the first {length} bytes of {len(stream)}"
    assert parse(stream + trailing) == whole
    return whole
