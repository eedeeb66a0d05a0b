from __future__ import annotations

import pytest

from forensics.signatures.statement import show, show_all


@pytest.mark.parametrize(
    ("values", "unit", "shown"),
    [
        ([54.0, 61.04], "ms", "54.0 ms to 61.0 ms"),
        ([54.01, 54.02], "ms", "54.0 ms"),
        (["a", "b", "a"], "", "a, b"),
        ([None, 3], "", "none, 3"),
        ([True, False], "", "yes, no"),
        ([["a", "b"], ["b", "c"]], "", "a, b, c"),
        ([[9, 9], [9, 9]], "", "9, 9"),
        ([list(range(20)), [1]], "", "0, 1, 2, 3, 4, 5, 6, 7, …"),
    ],
)
def test_values_of_several_rows(values: list[object], unit: str, shown: str):
    assert show_all(values, unit) == shown


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "", "none"), (4.93, "ms", "4.9 ms"), (222.4, "ms", "222 ms"), (30_000.0, "ms", "30.0 s"),
        (140_000.0, "bit/s", "140 kbit/s"), (15_200_000.0, "bit/s", "15.2 Mbit/s"), (3, "packets", "3"),
        (0.045, "", "0.04"), (100.0, "", "100"), ([1, 2], "", "1, 2"), ([], "", "none"), (True, "", "yes"),
        ("a\x1b[31m", "", "a\\x1b[31m"),
    ],
)  # fmt: skip
def test_values_as_people_write_them(value: object, unit: str, text: str):
    assert show(value, unit) == text
