"""A short set of the laboratory, with real clients and servers; ``make lab`` runs all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import network, run, score
from tests.lab.scenario import Conversation, Expect, Scenario
from tests.lab.scenarios import every

SHORT = (
    "sni-reset-both-sides",
    "sni-reset-ipv6",
    "dns-tampering-bogon",
    "benign-client-leaves-hello-reset",
    "benign-server-alert-reset",
    "benign-web-lossy",
)
"""What is decided by who says what, and not by how soon: so that a busy machine gives the same results."""


@pytest.fixture(scope="session")
def laboratory() -> None:
    why = network.missing()
    if why:
        pytest.skip(f"the laboratory does not run here: {why}")


@pytest.mark.usefixtures("laboratory")
@pytest.mark.parametrize("name", SHORT)
def test_a_scenario_is_seen_for_what_it_is(name: str, tmp_path: Path) -> None:
    listed = score.not_yet()
    result = run.judged(every()[name], tmp_path / name)
    assert not run.failed([result], listed), result.line(listed)


def staged(name: str = "sni-reset-staged", *expect: Expect, works: tuple[str, ...] = ()) -> Scenario:
    return Scenario(name, "", lambda _session: None, expect=expect, works=works, fails=("photo",))


def said(label: str, *, ok: bool) -> Conversation:
    return Conversation(label, "tcp", "192.168.43.17", 40_000, "203.0.113.10", 443, ok=ok, detail="a reason")


def test_a_scenario_is_broken_when_its_client_fares_otherwise() -> None:
    one = staged(works=("text",))
    assert run.outcome(one, [said("text", ok=True), said("photo", ok=False)]) == []
    assert run.outcome(one, [said("text", ok=False), said("photo", ok=True)]) == [
        "text fails: a reason",
        "photo works: a reason",
    ]
    assert run.outcome(one, [said("photo", ok=False)]) == ["no conversation is labelled text"]
    expecting = staged("sni-reset-staged", Expect("sni-reset", ("phto",)))
    assert run.outcome(expecting, [said("photo", ok=False)]) == ["no conversation is labelled phto"]


def row(*, met: bool) -> score.Seen:
    return score.Seen("sni-reset-staged", "client", "sni-reset", 1, int(met), 2, 2 * met)


KEY = "sni-reset-staged client sni-reset"


@pytest.mark.parametrize(
    ("met", "listed", "bad", "word"),
    [
        (True, False, False, "seen "),
        (False, True, False, "not yet "),
        (False, False, True, "MISSED "),
        (True, True, True, "SEEN, BUT LISTED "),
    ],
)
def test_the_list_may_only_shrink(met: bool, listed: bool, bad: bool, word: str) -> None:  # noqa: FBT001 - a table
    result = run.Result(staged(), seen=[row(met=met)])
    names = {KEY} if listed else set()
    assert run.failed([result], names) is bad
    assert f": {word}client: sni-reset" in result.line(names)


def test_what_is_missing_is_told_as_the_list_has_it(tmp_path: Path) -> None:
    path = tmp_path / "missing.yaml"
    path.write_text(run.missing([run.Result(staged(), seen=[row(met=False), row(met=True)])]))
    assert score.not_yet(path) == {KEY}


def test_an_accusation_fails_whatever_is_listed() -> None:
    wrong = score.Accusation("benign-x", "client", "tls.sni.reset", "likely", "text")
    result = run.Result(Scenario("benign-x", "", lambda _session: None), accusations=[wrong])
    assert run.failed([result], {KEY})
    assert "ACCUSED client: tls.sni.reset likely on text" in result.line(set())
    assert "likely or above: 1 of 1" in run.table([result], set())


def test_the_table_has_a_line_for_each_mechanism() -> None:
    one = run.Result(staged("sni-reset-staged", Expect("sni-reset", ("photo",))), seen=[row(met=True)])
    lines = run.table([one, run.Result(staged("benign-y"))], set()).splitlines()
    assert lines[2].split() == ["sni-reset", "1", "0", "1", "of", "1", "-", "2", "of", "2", "0", "0"]
    assert lines[3].split()[:2] == ["benign", "1"]


def test_patterns_choose_scenarios_and_the_longest_come_first() -> None:
    chosen = run.pick(["sni-reset-*"])
    assert {one.name for one in chosen} == {name for name in every() if name.startswith("sni-reset-")}
    assert [one.seconds for one in run.pick([])] == sorted(
        (one.seconds for one in every().values()), reverse=True
    )
    assert run.pick(["no-such-*"]) == []
