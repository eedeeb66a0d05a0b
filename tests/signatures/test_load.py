from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.data import signature_root
from forensics.errors import ForensicsError, RuleError
from forensics.observations.dictionary import GATES
from forensics.signatures import SignatureSet
from forensics.signatures.load import RULE_KEYS, read_rule
from forensics.signatures.model import LEVELS, MECHANISMS
from forensics.signatures.rule import MATURITIES

GOOD = """\
id: test.rule
title: something is seen
mechanism: sni-reset
maturity: stable
on: flow
requires: [start_seen]
has_data: tls_client_hello
when: rst_to_client > 0
evidence:
  - id: some
    when: rst_seq_change
    points: 5
    because: "{rst_to_client} resets"
    frames: [rst_to_client_frames]
benign:
  - {id: other, when: server_local, points: -2, because: "it is local", otherwise: "it is not local"}
frames: [rst_to_client_frames]
target: [sni]
references: [X]
tests: [{capture: one, expect: 1}, {capture: two, expect: 0}]
"""
FILES = sorted((signature_root() / "interference").glob("*.yaml"))


def read(text: str) -> Any:
    return read_rule("r.yaml", text.encode())


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "said"),
    [
        ("when: rst_to_client > 0", "when: rst_to_cleint > 0", 8, 7, "rst_to_client"),
        ("when: rst_to_client > 0", "when: MAX(rst_to_client) > 0", 8, 7, 'unknown function "MAX"'),
        ("when: rst_to_client > 0", "when: rst_to_client", 8, 7, "true or false"),
        ("when: rst_to_client > 0", "when: sni > 3", 8, 7, "does not compute"),
        ("when: rst_to_client > 0", "when: 'TRUE'", 8, 7, "no column"),
        ("when: rst_to_client > 0", "when: rst_to_client > 0 -- x", 8, 7, "comments"),
        ("when: rst_to_client > 0", "when: 'rst_to_client > 0; x'", 8, 7, "cannot stand"),
        ("when: rst_to_client > 0", "when: rst_to_client > (SELECT 1)", 8, 24, "SELECT"),
        ("when: rst_to_client > 0", "wehn: rst_to_client > 0", 8, 1, "did you mean when?"),
        ("mechanism: sni-reset", "mechanism: sni-rest", 3, 12, "did you mean sni-reset"),
        ("maturity: stable", "maturity: done", 4, 11, "stable, experimental"),
        ("requires: [start_seen]", "requires: [start_sen]", 6, 12, "start_seen"),
        ("points: 5", "points: five", 12, 13, "whole number"),
        ("points: 5", "points: -1", 12, 13, "from 0 to 20"),
        ("points: -2", "points: 2", 16, 45, "from -20 to 0"),
        ("{rst_to_client} resets", "{rst_to_clint} resets", 13, 16, "rst_to_client"),
        ("{rst_to_client} resets", "{rst_to_client.x} resets", 13, 16, "is no column"),
        ("{rst_to_client} resets", "{rst_to_client!r} resets", 13, 16, "is no column"),
        ("{rst_to_client} resets", "{ resets", 13, 14, "brace"),
        ("id: other", "id: some", 16, 5, "stands twice"),
        (
            "frames: [rst_to_client_frames]\ntarget",
            "frames: [rst_to_client]\ntarget",
            17,
            10,
            "no frame numbers",
        ),
        ("title: something is seen", 'title: "a\\u001b[31m"', 2, 8, "control characters"),
        ("title: something is seen", "title: &a x", 2, 8, "anchors"),
        ("capture: one", "capture: ../one", 20, 19, "form"),
        ("id: test.rule", "id: test.rule\nid: test.rule", 2, 1, "stands twice"),
    ],
)
def test_an_error_names_its_place(old: str, new: str, line: int, column: int, said: str):
    assert old in GOOD
    with pytest.raises(RuleError) as caught:
        read(GOOD.replace(old, new, 1))
    assert (caught.value.place.line, caught.value.place.column) == (line, column), str(caught.value)
    assert said in caught.value.message
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"a: [",
        b"- a",
        b"x",
        b"\x00",
        b"[" * 5000,
        b"a: &a [*a]",
        b"x" * 70_000,
        b"!!python/object:os.system {}",
        b"id: 1\n---\nid: 2\n",
        b"? [a]\n: b",
    ],
)
def test_a_damaged_file_is_one_line(data: bytes):
    with pytest.raises(RuleError) as caught:
        read_rule("r.yaml", data)
    assert str(caught.value).isprintable()


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(GOOD)), drop=st.integers(0, 40), junk=st.binary(max_size=12))
def test_a_mangled_rule_loads_or_is_a_rule_error(at: int, drop: int, junk: bytes):
    data = GOOD.encode()[:at] + junk + GOOD.encode()[at + drop :]
    try:
        read_rule("r.yaml", data)
    except RuleError as error:
        assert str(error).isprintable()  # noqa: PT017 - either outcome is right


def test_file_name_and_id_agree(tmp_path: Path):
    (tmp_path / "other.rule.yaml").write_text(GOOD)
    with pytest.raises(RuleError, match="differs from the file name"):
        SignatureSet.read([tmp_path / "other.rule.yaml"])


def test_an_unknown_rule_is_named_with_the_nearest():
    with pytest.raises(ForensicsError, match=r"tls\.sni\.reset"):
        SignatureSet.load().rule("tls.sni.rest")


class _Plain(yaml.SafeLoader):
    """YAML 1.2 truth values, as editors read them: the key `on` is a word."""


_Plain.yaml_implicit_resolvers = {
    key: [(tag, pattern) for tag, pattern in pairs if not tag.endswith(":bool")]
    for key, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Plain.add_implicit_resolver("tag:yaml.org,2002:bool", __import__("re").compile("^(true|false)$"), list("tf"))

SCHEMA = json.loads((signature_root() / "schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_json_schema_accepts_the_shipped_rules(file: Path):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = yaml.load(file.read_text(encoding="utf-8"), Loader=_Plain)  # noqa: S506 - a SafeLoader
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    for key in ("when", "title", "evidence"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(SCHEMA).validate({k: v for k, v in document.items() if k != key})


def test_the_json_schema_has_the_same_words_as_the_code():
    keys = SCHEMA["properties"]
    assert keys.keys() == RULE_KEYS.keys()
    assert keys["mechanism"]["enum"] == list(MECHANISMS)
    assert keys["maturity"]["enum"] == list(MATURITIES)
    assert keys["requires"]["items"]["enum"] == list(GATES)
    assert keys["caps"]["items"]["properties"]["level"]["enum"] == list(LEVELS)
    assert SCHEMA["required"] == [key for key, required in RULE_KEYS.items() if required]
