"""The pace of datagrams, whatever they carry."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.observations.media_pace import FIRST, Paces
from forensics.observations.sides import Sides
from tests.flows.made import CLIENT, SERVER, Pkt
from tests.observations.following import feed


class Watch:
    def __init__(self, engine):
        self.paces, self.engine = Paces(), engine

    def add(self, arrived):
        self.paces.add(arrived.flows, arrived.engine)

    def finish(self, flows):
        """Nothing is held back."""


def told(packets, cuts=()):
    paces = feed(packets, cuts, Watch).paces
    nobody = np.array([0])
    sides = Sides(nobody, 2 * nobody + (CLIENT > SERVER), 2 * nobody + (CLIENT < SERVER))
    return {name: values.to_list()[0] for name, values in paces.columns(sides).items()}


def sent(times, size=160, src=CLIENT, dst=SERVER):
    return [Pkt(src, dst, size=size, ms=ms, proto=17) for ms in times]


@pytest.mark.parametrize("cuts", [(), (70,), range(700)])
def test_voice_and_sparse_answers(cuts):
    packets = sent(range(0, 11000, 20)) + sent(range(5, 11000, 180), 40, SERVER, CLIENT)
    packets.sort(key=lambda packet: packet.ms)
    said = told(packets, [cut for cut in cuts if cut < len(packets)])
    assert said == {
        "paced_to_server_ms": 10000.0,
        "active_to_server_ms": 10000.0,
        "datagram_size_to_server": 192,
        "paced_to_client_ms": 0.0,
        "active_to_client_ms": 2000.0,
        "datagram_size_to_client": 64,
    }


def test_a_download_is_faster_than_voice():
    said = told(sent([ms / 2 for ms in range(6000)], 1200))
    assert (said["paced_to_server_ms"], said["datagram_size_to_server"]) == (0.0, 1216)


def test_few_datagrams_have_no_pace():
    assert told(sent(range(FIRST))) == {}


def test_forgotten_flows():
    paces = feed(sent(range(100)), (), Watch).paces
    assert paces.sides
    paces.clear(np.array([0]))
    assert not paces.sides
