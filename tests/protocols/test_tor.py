"""Names that Tor makes up, and names that people chose."""

from __future__ import annotations

import re

import pytest

from forensics.protocols.tor import MADE_UP, WITH_DIGIT


def looks(name: str) -> bool:
    return re.search(MADE_UP, name) is not None and re.search(WITH_DIGIT, name) is not None


@pytest.mark.parametrize(
    "name", ["www.q4cyamnc6mtokjurvdclt.com", "www.ct7ctrgb6cr7.com", "www.gfu7hbxpfp.net"]
)
def test_made_up(name: str) -> None:
    assert looks(name)


@pytest.mark.parametrize(
    "name",
    [
        "www.facebook.com",
        "www.wikipedia.org",
        "q4cyamnc6mtokjur.com",
        "www.q4c.com",
        "www.q4cyamnc8.org",
        "",
    ],
)
def test_chosen(name: str) -> None:
    assert not looks(name)
