from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.dns_wire import address_text, read_name, skip_name, type_name
from forensics.protocols.errors import ProtocolError

# The example of RFC 1035 4.1.4: F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA at 64, the root at 92.
RFC_1035 = bytearray(93)
RFC_1035[20:32] = b"\x01F\x03ISI\x04ARPA\x00"
RFC_1035[40:46] = b"\x03FOO\xc0\x14"
RFC_1035[64:66] = b"\xc0\x1a"


@pytest.mark.parametrize(
    ("at", "name", "end"),
    [(20, "f.isi.arpa", 32), (40, "foo.f.isi.arpa", 46), (64, "arpa", 66), (92, ".", 93)],
)
def test_the_example_of_rfc_1035(at: int, name: str, end: int):
    assert read_name(bytes(RFC_1035), at) == (name, end)
    assert skip_name(bytes(RFC_1035), at) == end


@pytest.mark.parametrize("at", [20, 40, 64])
def test_a_name_that_is_cut_is_an_error(at: int):
    end = read_name(bytes(RFC_1035), at)[1]
    for size in range(at, end):
        for reader in (read_name, skip_name):
            with pytest.raises(ProtocolError, match="cut short"):
                reader(bytes(RFC_1035[:size]), at)


def test_types_without_a_name_are_written_as_rfc_3597_says():
    assert [type_name(number) for number in (1, 28, 64, 65, 54321)] == [
        "A",
        "AAAA",
        "SVCB",
        "HTTPS",
        "TYPE54321",
    ]


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_addresses_are_written_as_the_standard_library_does(packed: bytes):
    assert address_text(packed) == str(ipaddress.ip_address(packed))


@settings(max_examples=200)
@given(st.binary(max_size=60), st.integers(0, 59))
def test_whatever_is_read_is_also_skipped_to_the_same_place(data: bytes, at: int):
    with contextlib.suppress(ProtocolError):
        name, end = read_name(data, at)
        assert skip_name(data, at) == end
        assert name.isascii()
        assert name.isprintable()
