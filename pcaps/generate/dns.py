"""DNS over UDP, built with scapy, from honest resolvers and from forgers on the path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scapy.layers.dns import DNS, DNSQR, DNSRR

from pcaps.generate.world import UDP, Flow, Host, Packet, World

if TYPE_CHECKING:
    from collections.abc import Sequence

TYPES = {"A": 1, "AAAA": 28}


class Query(Flow):
    """One query of the client and everything that answers it."""

    def __init__(
        self, world: World, time: float, qname: str, qtype: str = "A", resolver: Host | None = None
    ) -> None:
        super().__init__("udp")
        self.world, self.qname, self.qtype = world, qname, qtype
        self.resolver = resolver or world.resolver
        self.port = 20000 + world.rng.randrange(19000)
        self.txid = world.rng.randrange(1, 65536)
        self.queries: list[Packet] = []
        self.responses: list[Packet] = []
        world.expect.dns.append({"query": self})
        self.ask(time)

    def ask(self, time: float) -> Packet:
        """Send the query (again)."""
        message = DNS(id=self.txid, qr=0, rd=1, qd=[DNSQR(qname=self.qname, qtype=self.qtype)])
        layer = UDP(sport=self.port, dport=53) / message
        self.queries.append(
            self.world.add(Packet(time, self.world.client, self.resolver, self, layer, df=False))
        )
        return self.queries[-1]

    def answer(  # noqa: PLR0913 - one argument a property of what is staged
        self,
        time: float,
        addresses: Sequence[str],
        *,
        ttl: int | None = None,
        ipid: int | None = None,
        df: bool | None = None,
        aa: int = 0,
        rr_ttl: int = 300,
        rcode: int = 0,
    ) -> Packet:
        """A response that seems to come from the resolver."""
        records: list[Any] = [
            DNSRR(rrname=self.qname, type=self.qtype, rclass="IN", ttl=rr_ttl, rdata=address)
            for address in addresses
        ]
        message = DNS(
            id=self.txid, qr=1, aa=aa, rd=1, ra=1, rcode=rcode,
            qd=[DNSQR(qname=self.qname, qtype=self.qtype)], an=records,
        )  # fmt: skip
        layer = UDP(sport=53, dport=self.port) / message
        packet = Packet(time, self.resolver, self.world.client, self, layer, ttl, ipid, df)
        self.responses.append(self.world.add(packet))
        return packet


def lookup(  # noqa: PLR0913 - one argument a property of what is staged
    world: World,
    time: float,
    qname: str,
    addresses: Sequence[str],
    qtype: str = "A",
    resolver: Host | None = None,
    delay: float = 0.031,
) -> Query:
    """An honest look-up."""
    query = Query(world, time, qname, qtype, resolver)
    query.answer(time + delay + world.rng.randrange(3000) / 1e6, addresses)
    return query
