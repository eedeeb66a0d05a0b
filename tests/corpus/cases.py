"""The cases of the corpus, as the tests of this directory walk them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

CORPUS = Path(__file__).resolve().parents[2] / "pcaps"


@dataclass(frozen=True)
class Case:
    name: str

    @property
    def directory(self) -> Path:
        return CORPUS / self.name

    @property
    def expect(self) -> dict[str, Any]:
        return _expectation(self.directory / "expect.yaml")

    @property
    def capture(self) -> Path:
        return self.directory / self.expect["capture"]


@cache
def _expectation(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text("utf-8"))


CASES = [Case(path.parent.name) for path in sorted(CORPUS.glob("*/expect.yaml"))]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def accepted(finding: dict[str, Any]) -> list[str]:
    """The signatures that may carry an expected finding: one, or several that see the same thing."""
    named = finding["signature"]
    return [named] if isinstance(named, str) else list(named)
