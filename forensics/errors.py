"""The one family of errors that a user may see: a single line that says what, where and what to do."""

from __future__ import annotations

from dataclasses import dataclass


class ForensicsError(Exception):
    """Something the user can act on; ``str()`` is one line without control characters."""


class CaptureError(ForensicsError):
    """The input is not a capture at all, or cannot be opened."""


@dataclass(frozen=True)
class Place:
    """Where in a text file an error stands; line and column count from 1, as editors do."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class RuleError(ForensicsError):
    """A signature, app or pool file that cannot be used."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place
        self.message = message
