"""The five exemptions, at the limits that the paper gives."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.encrypted import looks_random, measure_first_packet


def test_random_bytes_are_not_exempt() -> None:
    first = measure_first_packet(random.Random(1).randbytes(600))  # noqa: S311 - bytes of a test
    assert not first.exempt
    assert 3.8 < first.bits < 4.2


@pytest.mark.parametrize(
    ("data", "exempt"),
    [
        (b"\x1f\x1f\x01\x1f\x1f" * 10, False),  # 21 bits in 5 bytes: 4.2
        (b"\x1f\x1f\x01\x1f\x01" * 10, True),  # 17 in 5: 3.4
        (b"\x1f\x1f\x9f\x1f\x01" * 10, False),  # 22 in 5: 4.4
        (b"\x1f\x1f\x9f\x1f\x07" * 10, False),  # 24 in 5: 4.8, see below
    ],
)
def test_popcount(data: bytes, exempt: bool) -> None:  # noqa: FBT001 - a parameter of the test
    first = measure_first_packet(data)
    bits = sum(byte.bit_count() for byte in data) / len(data)
    assert first.bits == pytest.approx(bits)
    assert first.exempt == (exempt or bits >= 4.6)


def test_printable_limits() -> None:
    noise = b"\x87\xd2\x9b\xc6\xe1\x8e\xb4\xaa"  # four bits each, none printable
    assert measure_first_packet(b"abcdef" + noise * 10).printable_prefix
    assert not measure_first_packet(b"abcde" + noise * 10).printable_prefix
    assert measure_first_packet(noise + b"kmn3" * 5 + noise).printable_run == 20
    assert not measure_first_packet(noise + b"kmn3" * 5 + noise * 3).exempt
    assert measure_first_packet(noise + b"kmn3" * 5 + b"k" + noise * 3).exempt
    assert measure_first_packet((b"\x87k" * 20) + b"\x87").printable_share == pytest.approx(20 / 41)
    assert not measure_first_packet(b"\x87k" * 20).exempt  # exactly half
    assert measure_first_packet(b"\x87k" * 20 + b"k").exempt
    assert measure_first_packet(b"\x7f\x80" * 20).printable_run == 0


@pytest.mark.parametrize("begin", [b"\x16\x03\x01", b"\x17\x03\x09", b"GET ", b"PUT ", b"POST ", b"HEAD "])
def test_known_prefix(begin: bytes) -> None:
    assert measure_first_packet(begin + bytes(5)).known_prefix


def test_other_prefix() -> None:
    assert not measure_first_packet(b"\x15\x03\x01").known_prefix
    assert not measure_first_packet(b"\x16\x03\x10").known_prefix
    assert not measure_first_packet(b"OPTIONS ").known_prefix


def test_nothing_to_measure() -> None:
    with pytest.raises(ValueError, match="empty"):
        measure_first_packet(b"")


@settings(max_examples=100)
@given(st.binary(min_size=1, max_size=200))
def test_against_the_words_of_the_paper(data: bytes) -> None:
    first = measure_first_packet(data)
    text = "".join("#" if 0x20 <= byte <= 0x7E else " " for byte in data)
    assert first.printable_run == max(map(len, text.split()), default=0)
    assert first.printable_share == pytest.approx(text.count("#") / len(text))
    assert first.printable_prefix == text.startswith("######")


def test_randomness() -> None:
    assert all(looks_random(random.Random(seed).randbytes(64)) for seed in range(200))  # noqa: S311
    assert not looks_random(bytes(64))
    assert not looks_random(bytes(range(16)) * 4)
    assert not looks_random(random.Random(1).randbytes(31))  # noqa: S311
