from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from forensics.report.printable import clipped, printable
from tests.report.made import HOSTILE


def test_known_escapes():
    assert printable("a\x1b[31m\x7f\x9b\u202e\u2066\u200b\ufeff\r\n") == (
        "a\\x1b[31m\\x7f\\x9b\\u202e\\u2066\\u200b\\ufeff\\x0d\\x0a"
    )
    assert printable("\U000e0041\ud800") == "\\U000e0041\\ud800"
    assert printable("bücher.example слово") == "bücher.example слово"


@given(st.text(st.characters()))
def test_nothing_that_steers_or_hides_is_left(text):
    for char in printable(text):
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(st.characters()), st.integers(4, 40))
def test_clipped_is_never_longer(text, length):
    assert len(clipped(text, length)) <= length


def test_hostile_is_visible():
    assert printable(HOSTILE).startswith("\\x1b]0;owned\\x07[red]x[/red]\\u202egpj")
