from __future__ import annotations

import pytest

from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls_wire import is_grease, record_header, vector, version_name, words


def test_grease_values_are_the_sixteen_of_rfc_8701():
    assert [v for v in range(65536) if is_grease(v)] == [0x0A0A + 0x1010 * n for n in range(16)]


@pytest.mark.parametrize(
    ("version", "name"),
    [(0x0300, "ssl3"), (0x0303, "1.2"), (0x0304, "1.3"), (0xFEFF, "dtls1.0"), (0xFEFD, "dtls1.2"),
     (0xFEFC, "dtls1.3"), (0x7F1C, "0x7f1c")],
)  # fmt: skip
def test_versions_have_names(version: int, name: str):
    assert version_name(version) == name


def test_a_record_header_is_read_as_far_as_it_is_there():
    header = b"\x16\x03\x01\x00\x20"
    assert record_header(b"", 0) == (-1, -1)
    for size in range(1, 5):
        assert record_header(header[:size], 0) == (22, -1)
    assert record_header(b"x" + header, 1) == (22, 32)


def test_vectors_and_numbers_stay_within_their_bounds():
    assert vector(b"\x02ab+", 0, 1, "x") == (b"ab", 3)
    assert vector(b"-\x00\x01a", 1, 2, "x") == (b"a", 4)
    assert words(b"\x13\x01\xc0\x2f") == (0x1301, 0xC02F)
    for broken in (b"", b"\x01", b"\x00\x02a"):
        with pytest.raises(ProtocolError):
            vector(broken, 0, 2, "x")
    with pytest.raises(ProtocolError):
        words(b"abc")
