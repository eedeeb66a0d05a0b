"""The documentation tells the truth: links lead somewhere, commands run, and what the README shows is what is said."""

from __future__ import annotations

import re
import shlex

import pytest
import zstandard
from click.testing import CliRunner

from forensics.cli import main
from tests.conftest import REPO_ROOT

PAGES = sorted([REPO_ROOT / "README.md", REPO_ROOT / "CHANGELOG.md", *(REPO_ROOT / "docs").glob("*.md")])
DEMO = REPO_ROOT / "pcaps" / "demo-whatsapp-2017" / "capture.pcap"
CAPTURES = {"capture.pcap", "my.pcapng", "CAPTURE"}
"""Stand for the reader's own file."""


def commands():
    """Every command line of ours in an indented block, without its comment."""
    for page in PAGES:
        for line in page.read_text().splitlines():
            if line.startswith("    forensics "):
                yield line.split(" #")[0].strip()


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_commands_run(command, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.rule.yaml").write_text(
        (REPO_ROOT / "signatures" / "interference" / "tls.sni.reset.yaml")
        .read_text()
        .replace("id: tls.sni.reset", "id: my.rule")
    )
    header, day1, day2 = in_two(DEMO.read_bytes())
    (tmp_path / "day1.pcap").write_bytes(header + day1)
    (tmp_path / "day2.pcap.zst").write_bytes(zstandard.compress(header + day2))
    words = [str(DEMO) if word in CAPTURES else word for word in shlex.split(command)[1:]]
    if words[0] == "crosscheck":
        request.getfixturevalue("tshark")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    assert "warning:" not in result.stderr


def in_two(raw):
    """File header, and the records in two halves."""
    at = 24
    while at < len(raw) // 2:
        at += 16 + int.from_bytes(raw[at + 8 : at + 12], "little")
    return raw[:24], raw[24:at], raw[at:]


@pytest.mark.parametrize("name", ["formats", "protocols"])
def test_the_readme_has_the_tables_that_are_printed(name):
    shown = re.search(
        rf"^<!-- {name}: begin -->\n(.*?)^<!-- {name}: end -->$",
        (REPO_ROOT / "README.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert shown
    printed = CliRunner().invoke(main, ["docs", name]).stdout
    assert shown[1] == printed, f"put what 'forensics docs {name}' prints into README.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_linked():
    index = (REPO_ROOT / "docs" / "index.md").read_text()
    pages = {page.name for page in (REPO_ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {name for name in pages if f"]({name})" not in index} == set()


def test_make_targets_in_the_documentation_exist():
    makefile = (REPO_ROOT / "Makefile").read_text()
    named = {
        target for page in PAGES for target in re.findall(r"^    make (\w+)", page.read_text(), re.MULTILINE)
    }
    assert named
    assert {name for name in named if f"\n{name}:" not in makefile} == set()


def test_the_readme_names_every_signature_with_its_mechanism():
    rows = re.findall(
        r"^\| `([\w.-]+)` \| .*\(`([\w-]+)`\) \|$", (REPO_ROOT / "README.md").read_text(), re.MULTILINE
    )
    listed = CliRunner().invoke(main, ["signatures", "list"]).stdout.splitlines()
    assert sorted(rows) == sorted(tuple(line.split()[:2]) for line in listed)


def test_the_worked_example_is_a_valid_signature(tmp_path):
    page = (REPO_ROOT / "docs" / "signatures.md").read_text()
    example = re.search(r"^```yaml\n(id: (\S+)\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert example
    rule = tmp_path / f"{example[2]}.yaml"
    rule.write_text(example[1])
    result = CliRunner().invoke(main, ["signatures", "lint", str(rule)])
    assert result.exit_code == 0, result.stdout


def test_the_readme_shows_what_the_program_says(monkeypatch):
    """Left-out lines are marked by a line of three dots."""
    monkeypatch.delenv("COLUMNS", raising=False)
    text = (REPO_ROOT / "README.md").read_text()
    shown = re.search(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown
    report = CliRunner().invoke(main, ["analyze", str(DEMO)]).stdout
    position = 0
    for part in re.split(r"^ *\.\.\.\n", shown[1], flags=re.MULTILINE):
        found = report.find(part, position)
        assert found >= 0, f"the README shows an old report; put this part of a new one there:\n{part}"
        position = found + len(part)
