"""``forensics signatures``: list, show, lint, test and explain the rules."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

from pathlib import Path

import click


@click.group()
def signatures() -> None:
    """List, check and test the signatures."""


def _corpus() -> Path | None:
    """The corpus of a checkout: beside the signatures, or where the user stands."""
    from forensics.data import signature_root

    for folder in (signature_root().parent / "pcaps", Path("pcaps")):
        if folder.is_dir():
            return folder
    return None


@signatures.command("list")
def list_rules() -> None:
    """Print id, mechanism, maturity and title of every signature."""
    from forensics.signatures import SignatureSet

    rules = SignatureSet.load().rules
    wide = max((len(rule.id) for rule in rules), default=0)
    words = max((len(rule.mechanism) for rule in rules), default=0)
    for rule in rules:
        click.echo(f"{rule.id:<{wide}}  {rule.mechanism:<{words}}  {rule.maturity:<12}  {rule.title}")


@signatures.command()
@click.argument("rule")
def show(rule: str) -> None:
    """Print the file of one signature."""
    from forensics.report.printable import clipped
    from forensics.signatures import SignatureSet

    file = Path(SignatureSet.load().rule(rule).place.file)
    for line in file.read_text(encoding="utf-8").splitlines():
        click.echo(clipped(line, 4000))


@signatures.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_context
def lint(context: click.Context, files: tuple[Path, ...]) -> None:
    """Check rule files (all shipped ones without FILES); exit status 1 when one has an error."""
    from forensics.data import signature_root
    from forensics.report.printable import clipped
    from forensics.signatures.lint import errors, lint_files
    from forensics.signatures.load import RULE_FOLDER

    chosen = list(files) or sorted((signature_root() / RULE_FOLDER).glob("*.yaml"))
    issues = lint_files(chosen, _corpus())
    for issue in issues:
        text = f"{issue.place}: {issue.severity}: {issue.message} [{issue.check}] {issue.recommendation}"
        click.echo(clipped(text, 1000))
    found = errors(issues)
    noun = "file" if len(chosen) == 1 else "files"
    warnings = len(issues) - found
    click.echo(
        f"{len(chosen)} {noun}, {found} error{'s'[: found != 1]}, {warnings} warning{'s'[: warnings != 1]}",
        err=True,
    )
    context.exit(1 if found else 0)


@signatures.command()
@click.argument("rules", nargs=-1)
@click.pass_context
def test(context: click.Context, rules: tuple[str, ...]) -> None:
    """Run the tests of RULES (of all signatures without RULES); exit status 1 when one fails."""
    from forensics.analysis import analyze_capture
    from forensics.errors import ForensicsError
    from forensics.report.printable import clipped
    from forensics.signatures import SignatureSet
    from forensics.signatures.selftest import run_tests

    corpus = _corpus()
    if corpus is None:
        raise ForensicsError("there is no folder pcaps here: run the tests in a checkout")
    loaded = SignatureSet.load()
    chosen = [loaded.rule(name) for name in rules] or list(loaded.rules)
    failed = total = 0
    for result in run_tests(chosen, corpus, lambda file: analyze_capture(str(file)).findings):
        total += 1
        failed += not result.passed
        word = "ok  " if result.passed else "FAIL"
        click.echo(clipped(f"{word}  {result.rule}  {result.capture}: {result.sentence}", 400))
    click.echo(f"{total} tests, {failed} failed", err=True)
    context.exit(1 if failed else 0)


@signatures.command()
@click.argument("rule")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Most rows to explain.")
def explain(rule: str, capture: Path, limit: int) -> None:
    """Show for each candidate which conditions of RULE held in CAPTURE, which failed, and on which values."""
    from forensics.cli.run import analyzed
    from forensics.report.printable import clipped
    from forensics.signatures import SignatureSet
    from forensics.signatures.explain import explain as explain_rows
    from forensics.signatures.explain import told

    chosen = SignatureSet.load().rule(rule)
    analysis = analyzed(str(capture), progress=True)
    counts = analysis.outcomes.get(chosen.id, {})
    click.echo(f"{chosen.id}: " + ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()))
    rows = explain_rows(chosen, analysis.tables[chosen.table.name], limit)
    if not rows:
        click.echo(f"no row of the table {chosen.table.name} has what {chosen.id} speaks of")
    for line in told(rows):
        if not line.startswith(" "):
            click.echo()
        click.echo(clipped(line, 1000))
    more = sum(count for outcome, count in counts.items() if outcome != "no-data") - len(rows)
    if more > 0:
        click.echo(f"\nand {more:,} more: use --limit")
