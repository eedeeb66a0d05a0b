from __future__ import annotations

from forensics.signatures import evaluate
from forensics.signatures.findings import MAX_FRAMES, MAX_ROWS
from tests.signatures.tables import RST, flows, rules
from tests.signatures.test_load import GOOD


def test_rows_of_one_target_are_one_finding():
    rows = (
        RST,
        RST | {"rst_to_client": 2, "rst_to_client_frames": [9, 11], "rst_seq_change": True},
        RST | {"sni": "b.example", "rst_to_client_frames": [50]},
    )
    one, two = evaluate(rules(GOOD), {"flow": flows(*rows)}).findings
    assert (one.id, one.score, one.level) == ("F1", 6, "likely")
    assert [subject.row for subject in one.subjects] == [0, 1]
    assert [item.statement for item in one.evidence] == ["2 resets, in 1 of 2 connections"]
    assert one.evidence[0].frames == (9, 11)
    assert [item.frame for item in one.frames] == [7, 9, 11]
    assert (two.target, two.score, two.level) == ("b.example", 1, "observed")
    assert [(item.id, item.outcome) for item in one.benign] == [("other", "excluded")]


def test_a_statement_is_true_of_every_row_it_names():
    change = RST | {"rst_seq_change": True}
    rows = (change, change | {"rst_to_client": 3}, change | {"rst_to_client": 2, "server_local": True}, RST)
    (finding,) = evaluate(rules(GOOD), {"flow": flows(*rows)}).findings
    assert [item.statement for item in finding.evidence] == ["1 to 3 resets, in 3 of 4 connections"]
    assert [(item.outcome, item.statement) for item in finding.benign] == [
        ("excluded", "it is not local, not so in 1 of 4 connections")
    ]


def test_one_row_has_one_finding_per_mechanism():
    better = GOOD.replace("test.rule", "test.better").replace(
        "maturity: stable", "maturity: stable\nprior: 3"
    )
    other = GOOD.replace("test.rule", "test.other").replace("sni-reset", "tls-mitm")
    found = evaluate(rules(GOOD, better, other), {"flow": flows(RST)}).findings
    assert {finding.signature for finding in found} == {"test.better", "test.other"}
    lower = evaluate(rules(GOOD, better + "yields_to: [test.rule]\n"), {"flow": flows(RST)}).findings
    assert [finding.signature for finding in lower] == ["test.rule"]


def test_caps_and_experimental_rules():
    strong = RST | {"rst_seq_change": True}
    capped = GOOD + "caps:\n  - {when: name_ok = 0, level: observed, because: 'of {name_attempts}'}\n"
    (finding,) = evaluate(rules(capped), {"flow": flows(strong)}).findings
    start = "the score starts at 1 for the pattern itself"
    assert (finding.level, finding.score) == ("observed", 6)
    assert finding.notes == (start, "not above observed: of 1")
    (finding,) = evaluate(rules(GOOD.replace("stable", "experimental")), {"flow": flows(strong)}).findings
    assert finding.level == "suspected"
    assert len(finding.notes) == 2


def test_an_explanation_that_cannot_be_tested_says_so():
    text = GOOD.replace(
        'otherwise: "it is not local"}',
        'otherwise: "no", testable: server_local IS NOT NULL, untested: "unknown"}',
    )
    text = text.replace("frames: [rst_to_client_frames]\ntarget", "frames: []\ntarget")
    (finding,) = evaluate(rules(text), {"flow": flows(RST | {"server_local": None})}).findings
    assert (finding.benign[0].outcome, finding.benign[0].statement) == ("not-testable", "unknown")
    only = (
        GOOD[: GOOD.index("  - {id: other")]
        + '  - {id: other, untested: "unknown"}\n'
        + GOOD[GOOD.index("frames: [rst_to_client_frames]\ntarget") :]
    )
    (finding,) = evaluate(rules(only), {"flow": flows(RST)}).findings
    assert finding.benign[0].outcome == "not-testable"


def test_frames_are_bounded():
    many = [RST | {"rst_to_client_frames": [frame]} for frame in range(100, 300)]
    (finding,) = evaluate(rules(GOOD), {"flow": flows(*many)}).findings
    assert len(finding.subjects) == 200
    assert len(finding.frames) == MAX_FRAMES


def test_only_the_lowest_cap_is_told():
    caps = "".join(
        f"  - {{level: {level}, because: '{said}'}}\n"
        for level, said in (("likely", "a"), ("observed", "b"), ("observed", "c"), ("suspected", "d"))
    )
    (finding,) = evaluate(rules(GOOD + "caps:\n" + caps), {"flow": flows(RST)}).findings
    assert finding.notes[1:] == ("not above observed: b", "not above observed: c")


def test_a_finding_of_many_connections_counts_them_all_and_shows_the_best():
    many = [RST | {"rst_to_client_frames": [n + 10]} for n in range(MAX_ROWS + 50)]
    many[-1] = many[-1] | {"rst_seq_change": True, "rst_to_client": 7}
    (finding,) = evaluate(rules(GOOD), {"flow": flows(*many)}).findings
    total = MAX_ROWS + 50
    assert len(finding.subjects) == total
    assert [(item.statement, item.frames) for item in finding.evidence] == [
        (f"7 resets, in 1 of {total} connections", (total + 9,))
    ]
    assert len(finding.frames) == MAX_FRAMES


def test_many_findings_keep_their_own_rows():
    rows = [RST | {"sni": f"n{n % 3000}.example", "rst_to_client_frames": [n + 1], "rst_seq_change": True}
            for n in range(6000)]  # fmt: skip
    found = evaluate(rules(GOOD), {"flow": flows(*rows)}).findings
    assert len(found) == 3000
    for n, finding in enumerate(found):
        assert (finding.target, [item.row for item in finding.subjects]) == (f"n{n}.example", [n, n + 3000])
        assert finding.evidence[0].frames == (n + 1, n + 3001)


def test_points_of_a_group_that_is_cut_still_add_up():
    text = GOOD.replace("maturity: stable", "maturity: stable\nprior: 0\ngroup_caps: {header: 3}")
    text = (
        text[: text.index("evidence:")]
        + (
            "evidence:\n"
            "  - {id: one, when: rst_to_client > 0, points: 2, because: one, group: header}\n"
            "  - {id: two, when: rst_to_client > 0, points: 2, because: two, group: header}\n"
        )
        + text[text.index("benign:") :]
    )
    (finding,) = evaluate(rules(text), {"flow": flows(RST)}).findings
    assert finding.score == 3
    assert finding.notes == (
        "the 2 signs of the kind 'header' are not independent: together they count 3 points, not 4",
    )
