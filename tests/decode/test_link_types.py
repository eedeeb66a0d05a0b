from __future__ import annotations

from forensics.decode.link_types import BY_ETHERTYPE, BY_LINKTYPE, LINKTYPES, Header


def test_link_types_are_in_order_of_number():
    assert list(LINKTYPES) == sorted(LINKTYPES) == list(BY_LINKTYPE)


def test_link_types_are_named():
    assert all(LINKTYPES.values())
    assert LINKTYPES[1] == "Ethernet"


def test_ip_is_not_among_the_other_ethertypes():
    assert not {0x0800, 0x86DD} & set(BY_ETHERTYPE)
    assert all(isinstance(header, Header) for header in BY_ETHERTYPE.values())
