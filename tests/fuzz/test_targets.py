"""Every target on its seeds and on a bounded number of hostile inputs, always the same ones."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.decode import Decoder
from forensics.decode import packets as decode_packets
from tests.fuzz.frames import LINKS, SEGMENT, fragments, link_seeds
from tests.fuzz.invariants import Reader, batch_of, read
from tests.fuzz.mutate import KINDS, changed
from tests.fuzz.targets import TARGETS, framed, unframed

CHANGES = st.lists(
    st.tuples(st.integers(0, KINDS - 1), st.integers(0, 2_000), st.integers(0, 70_000)), max_size=4
)


@pytest.mark.parametrize("name", TARGETS)
def test_valid_input(name):
    target = TARGETS[name]
    for seed in target.seeds()[: 6 if name.startswith("analyze") else 40]:
        target.run(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_input(name):
    target = TARGETS[name]
    seeds = target.seeds()

    @settings(
        derandomize=True,
        database=None,
        max_examples=target.examples,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(seeds), CHANGES, st.binary(max_size=12))
    def search(seed, changes, tail):
        target.run(changed(seed, changes) + tail)

    search()


@pytest.mark.parametrize("name", ["pcap", "pcapng", "snoop", "compressed", "fragments"])
def test_growing_prefixes(name):
    target = TARGETS[name]
    seed = target.seeds()[0]
    places = [*range(48), *random.Random(7).sample(range(48, len(seed)), k=min(24, len(seed) - 48))]  # noqa: S311 - no secret
    for size in sorted(places):
        target.run(seed[:size])


def test_frames_survive_their_framing():
    packets = [b"abc", b"", bytes(700)]
    assert unframed(framed(packets) + b"\x00") == packets


def test_a_fragment_is_as_told():
    frame = fragments(bytes([1, 5, 0, 3, 17, 2]) + b"xy")[0]
    assert frame[14 + 4 : 14 + 8] == bytes.fromhex("00052003")
    assert frame[-2:] == b"xy"


def test_an_exception_is_found(monkeypatch):
    def broken(*_):
        raise IndexError

    monkeypatch.setattr(decode_packets, "find_network", broken)
    with pytest.raises(IndexError):
        TARGETS["link-1"].run(framed([bytes(12) + b"\x08\x00" + SEGMENT]))


def test_what_depends_on_batches_is_found(monkeypatch):
    whole = Decoder.decode

    def forgetful(self, batch):
        self.counts.not_ip += len(batch) > 1
        return whole(self, batch)

    monkeypatch.setattr(Decoder, "decode", forgetful)
    with pytest.raises(AssertionError):
        TARGETS["link-1"].run(framed([bytes(12) + b"\x08\x00" + SEGMENT] * 2))


@pytest.mark.parametrize("name", ["pcap", "pcapng", "snoop", "compressed"])
def test_seeds_are_captures(name, tmp_path):
    """What is refused at once reaches nothing."""
    path = tmp_path / "seed"
    path.write_bytes(TARGETS[name].seeds()[0])
    found = read(path)
    assert found != "refused"
    assert found[1]["packets"] >= len(found[0].rows) >= 3
    assert not found[1]["damage"]


@pytest.mark.parametrize("linktype", LINKS)
def test_seeds_of_links_have_packets(linktype):
    reader = Reader()
    reader.take(batch_of(unframed(TARGETS[f"link-{linktype}"].seeds()[0]), linktype))
    assert len(reader.rows) >= len(link_seeds(linktype))
