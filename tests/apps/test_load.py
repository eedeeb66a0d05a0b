from __future__ import annotations

import pytest

from forensics.apps import AppCatalogue
from forensics.errors import RuleError
from forensics.yamlfile import parse_yaml

OWNERS = "owners:\n  acme:\n    title: Acme\n    suffixes: [acme.example]\n    addresses: [192.0.2.0/24]\n"
APP = "id: chat\ntitle: Chat\nowner: acme\nfeatures:\n  text:\n    names: [chat.acme.example]\n"
POOL = (
    "id: lies\ntitle: Lies\nprecision: exact\nsource: nobody\n"
    "entries:\n  - owner: acme\n    addresses: [192.0.2.1]\n"
)


def load(folder, owners=OWNERS, app=APP, pool=POOL):
    for path, text in (("apps/owners.yaml", owners), ("apps/chat.yaml", app), ("pools/lies.yaml", pool)):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return AppCatalogue.load(folder)


def test_good_files_load(tmp_path):
    catalogue = load(tmp_path)
    assert catalogue.app_names.find("chat.acme.example") == ("chat", "text")
    assert catalogue.pools["lies"].precision == "exact"


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"app": APP.replace("owner:", "ownr:")}, "apps/chat.yaml:3:1:", "did you mean owner"),
        ({"app": APP.replace("acme\n", "acne\n", 1)}, "apps/chat.yaml:3:8:", "did you mean acme"),
        ({"app": APP.replace("id: chat", "id: other")}, "apps/chat.yaml:1:5:", "file's name"),
        (
            {"app": APP.replace("[chat.acme.example]", "[Chat.acme.example]")},
            "apps/chat.yaml:6:13:",
            "host name",
        ),
        ({"app": APP.replace("[chat.acme.example]", "[com]")}, "apps/chat.yaml:6:13:", "host name"),
        ({"app": APP + "  text: {}\n"}, "apps/chat.yaml:7:3:", "twice"),
        ({"app": APP + "  calls: {}\n"}, "apps/chat.yaml:7:10:", "add one"),
        ({"app": APP.replace("names: [chat", "names: &a [chat")}, "apps/chat.yaml:6:12:", "anchors"),
        ({"app": "[" * 5000}, "apps/chat.yaml:1:21:", "nested"),
        ({"app": "id: ["}, "apps/chat.yaml:", "no valid YAML"),
        ({"app": ""}, "apps/chat.yaml:1:1:", "empty"),
        ({"app": "id: \x07"}, "apps/chat.yaml:1:5:", "does not allow"),
        ({"pool": POOL.replace("192.0.2.1", "192.0.2.256")}, "pools/lies.yaml:7:17:", "expected an address"),
        ({"pool": POOL.replace("exact", "foggy")}, "pools/lies.yaml:3:12:", "known are exact, range"),
        ({"owners": OWNERS.replace("192.0.2.0/24", "0.0.0.0/0")}, "apps/owners.yaml:5:17:", "too many"),
        ({"owners": OWNERS + "    exclusive: 1\n"}, "apps/owners.yaml:6:16:", "true or false"),
        (
            {"app": APP + "    endpoints:\n    - {transport: tcp, ports: [70000], owner_space: acme}\n"},
            "apps/chat.yaml:8:32:",
            "65535",
        ),
        (
            {"app": APP + "    endpoints:\n    - {transport: tcp, ports: [443]}\n"},
            "apps/chat.yaml:8:7:",
            "a port alone",
        ),
        (
            {"app": APP + '    first_bytes:\n    - {direction: client, transport: tcp, hex: "16??"}\n'},
            "apps/chat.yaml:8:48:",
            "hex digits",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path, change, where, what):
    with pytest.raises(RuleError) as caught:
        load(tmp_path, **change)
    message = str(caught.value)
    assert message.startswith(where)
    assert what in message
    assert message.isprintable()


def test_words_that_yaml_calls_truth_stay_words():
    entry = parse_yaml("on: flow\ncountry: no\nflag: true\n", "t.yaml").mapping()
    assert [entry["on"].value, entry["country"].value, entry["flag"].value] == ["flow", "no", True]
