from __future__ import annotations

import ipaddress

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forensics.decode.addresses import AddressBook

V4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
V6 = (st.integers(0, 2**128 - 1) | st.integers(0, 3) | st.integers(2**96 - 2, 2**96 + 2)).map(
    ipaddress.IPv6Address
)


def intern(book, addresses):
    packed = b"".join(address.packed for address in addresses)
    ids = book.intern_v6(np.frombuffer(packed, np.uint8).reshape(-1, 16))
    assert (ids.dtype, ids.shape) == (np.int64, (len(addresses),))
    return ids.tolist()


@given(V4)
def test_an_ipv4_address_is_its_own_id(address):
    book = AddressBook()
    assert book.find(str(address)) == int(address)
    assert book.text(int(address)) == str(address)


@given(st.lists(st.lists(V6, max_size=6), max_size=4))
def test_ipv6_addresses_have_one_id_each_whatever_the_batches(batches):
    book = AddressBook()
    known = {}
    for batch in batches:
        for address, number in zip(batch, intern(book, batch), strict=True):
            assert known.setdefault(address, number) == number
            assert number >= 2**32  # never that of an IPv4 address
            assert book.text(number) == str(address)
            assert book.find(str(address)) == book.find(address.exploded) == number
    assert len(set(known.values())) == len(known)


def test_ids_do_not_depend_on_batches_that_hold_one_address_each():
    addresses = [ipaddress.IPv6Address(f"2001:db8::{n:x}") for n in (9, 1, 9, 5)]
    book = AddressBook()
    assert [intern(book, [address])[0] - 2**32 for address in addresses] == [0, 1, 0, 2]


def test_rfc5952():
    book = AddressBook()
    long = ipaddress.IPv6Address("2001:0DB8:0000:0000:0001:0000:0000:0001")
    assert book.text(intern(book, [long])[0]) == "2001:db8::1:0:0:1"


def test_what_never_occurred_or_is_no_address_has_no_id():
    book = AddressBook()
    for text in ("2001:db8::1", "", "example.com", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "::ffff:1.2.3.4"):
        assert book.find(text) is None


def test_a_view_into_a_larger_array_is_read_as_it_stands():
    data = np.arange(64, dtype=np.uint8).reshape(2, 32)
    book = AddressBook()
    ids = book.intern_v6(data[:, 8:24])  # rows that do not follow one another in memory
    assert [ipaddress.ip_address(book.text(n)).packed for n in ids.tolist()] == [
        bytes(range(8, 24)),
        bytes(range(40, 56)),
    ]
