from __future__ import annotations

import ipaddress
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.decode import AddressBook, PacketTable
from forensics.decode.pcapdroid import MAX_APPS, VPN_ADDRESSES, PhoneNotes, trailer_uids
from tests.decode.build import A, B, batch_of, ethernet, ipv4, ipv6, tcp

VPN4, VPN6 = "10.215.173.1", "fd00:2:fd00:1:fd00:1:fd00:1"


def with_trailer(packet, uid=10123, name=b"WhatsApp", ethertype=0x0800):
    """As PCAPdroid's pcap_dump.c lays it out."""
    frame = ethernet(packet, ethertype)
    frame += bytes(-len(frame) % 4)
    frame += struct.pack(">Ii20s", 0x01072021, uid, name)
    return frame + struct.pack("<I", zlib.crc32(frame))


def uids(*frames, linktype=1, **how):
    batch = batch_of(*frames, linktype=linktype, **how)
    return trailer_uids(batch.data, batch.offset, batch.offset + batch.caplen, batch.linktype)


PACKET = ipv4(tcp(b"hello"), 6)


def test_the_owner_of_each_packet():
    found, apps = uids(
        with_trailer(PACKET),
        ethernet(PACKET),
        with_trailer(ipv6(tcp(b"x"), 6), 1051, b"netd", 0x86DD),
        with_trailer(PACKET, -1, b"Unknown"),
        with_trailer(PACKET, 10123, b"Other name"),
    )
    assert found.dtype == np.int32
    assert found.tolist() == [10123, -1, 1051, -1, 10123]
    assert apps == {10123: "WhatsApp", 1051: "netd"}


@pytest.mark.parametrize("size", range(9))
def test_padding_before_the_trailer(size):
    found, _ = uids(with_trailer(ipv4(tcp(b"x" * size), 6)))
    assert found.tolist() == [10123]


def test_what_is_no_trailer():
    good = with_trailer(PACKET)
    addressed = bytes(11) + b"\1" + good[12:]
    assert uids(addressed) == (None, {})
    assert uids(b"\1" + good[1:]) == (None, {})
    assert uids(good[:-1]) == (None, {})
    assert uids(good[:14] + good[-32:]) == (None, {})
    assert uids(ethernet(PACKET)) == (None, {})
    assert uids(good, linktype=101) == (None, {})
    assert uids() == (None, {})


def test_names_are_cut_at_the_first_nul_and_need_not_be_utf8():
    name = "Grüße und mehr".encode()[:19] + b"\xff"
    _, apps = uids(
        with_trailer(PACKET, 1, b"a\0b"),
        with_trailer(PACKET, 2, b""),
        with_trailer(PACKET, 3, name),
        with_trailer(PACKET, 2, b"late"),
    )
    assert apps == {1: "a", 2: "late", 3: name.decode("utf-8", errors="replace")}


def test_comments_and_trailers_together():
    frames = with_trailer(PACKET, 5, b"five"), with_trailer(PACKET, 6, b"six"), ethernet(PACKET)
    batch = batch_of(*frames)
    notes = PhoneNotes()
    assert notes.uids(batch).tolist() == [5, 6, -1]
    object.__setattr__(batch, "uid", np.array([-1, 9, 8], np.int32))
    assert notes.uids(batch).tolist() == [5, 9, 8]
    assert notes.apps == {5: "five", 6: "six"}
    plain = batch_of(ethernet(PACKET))
    assert notes.uids(plain) is None
    object.__setattr__(plain, "uid", np.array([7], np.int32))
    assert notes.uids(plain).tolist() == [7]


def test_apps_are_bounded():
    notes = PhoneNotes()
    for first in (0, MAX_APPS // 2, MAX_APPS):
        notes.uids(batch_of(*(with_trailer(PACKET, first + i, b"app") for i in range(MAX_APPS // 2 + 1))))
    assert list(notes.apps) == list(range(MAX_APPS))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-1, 5), st.binary(max_size=4)), min_size=1, max_size=12), st.data())
def test_batches_make_no_difference(rows, data):
    frames = [with_trailer(PACKET, uid, name) for uid, name in rows]
    cut = data.draw(st.integers(0, len(frames)))
    whole, parts = PhoneNotes(), PhoneNotes()
    whole.uids(batch_of(*frames))
    for part in (frames[:cut], frames[cut:]):
        parts.uids(batch_of(*part))
    assert whole == parts


@settings(max_examples=50)
@given(st.binary(max_size=80), st.integers(0, 80))
def test_any_bytes(junk, cut):
    found, _ = uids(with_trailer(PACKET)[:cut] + junk, bytes(12) + junk, junk)
    assert found is None or found.dtype == np.int32


def known(book, text):
    packed = np.frombuffer(ipaddress.ip_address(text).packed, np.uint8)
    return book.find(text) if len(packed) == 4 else int(book.intern_v6(packed[None])[0])


def table(book, *pairs):
    return PacketTable.of_rows({"frame": 1, "src": known(book, a), "dst": known(book, b)} for a, b in pairs)


@pytest.mark.parametrize(
    ("pairs", "inside"),
    [
        ([(VPN4, B)], True),
        ([(A, B), (B, VPN4)], True),
        ([("2001:db8::1", VPN6)], True),
        ([(A, B), ("2001:db8::1", "2001:db8::2")], False),
        ([("10.215.173.2", B), ("10.215.17.31", B)], False),
        ([], False),
    ],
)
def test_packets_from_inside_the_vpn(pairs, inside):
    book, notes = AddressBook(), PhoneNotes()
    notes.see(table(book, *pairs), book)
    assert (notes.inside_vpn, bool(notes.proxied)) == (inside, inside)
    notes.see(table(book, (A, B)), book)
    assert notes.inside_vpn == inside


def test_addresses_are_written_as_the_book_writes_them():
    book = AddressBook()
    table(book, (VPN6, VPN6))
    assert {book.text(book.find(address)) for address in VPN_ADDRESSES} == VPN_ADDRESSES
    assert {VPN4, VPN6} == VPN_ADDRESSES
