"""The list of protocols: complete, without doubles, and in step with what recognizes them."""

from __future__ import annotations

from forensics.protocols import datagram_words, openings
from forensics.protocols.known import PROTOCOLS, SOURCES, WORDS


def test_words_are_single() -> None:
    assert len(WORDS) == len(PROTOCOLS)
    assert all(known.word == known.word.lower().strip() and known.word for known in PROTOCOLS)


def test_every_word_that_can_be_said_is_listed() -> None:
    by_word = (*openings.CLIENT_WORDS, *openings.SERVER_WORDS)
    said = {word for _, word in by_word} | set(datagram_words.WORDS[1:])
    assert said - WORDS == set()


def test_ports_belong_to_one_protocol() -> None:
    for name in ("tcp_ports", "udp_ports"):
        ports = [port for known in PROTOCOLS for port in getattr(known, name)]
        assert len(ports) == len(set(ports))


def test_every_entry_says_what_tells_it_and_where_that_is_described() -> None:
    for known in PROTOCOLS:
        assert known.title
        assert known.told_by
        assert known.source
        assert "|" not in "".join(known[:6])
    assert "port" in SOURCES
