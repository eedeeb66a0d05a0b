"""The shape of the house: who may import whom, what is mirrored, what stays small, what ships."""

from __future__ import annotations

import ast
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import REPO_ROOT

PACKAGE = REPO_ROOT / "forensics"
ROOMS = (
    "capture",
    "decode",
    "flows",
    "protocols",
    "observations",
    "apps",
    "signatures",
    "verdicts",
    "report",
    "live",
    "crosscheck",
    "cli",
)
HALLWAY = {"errors", "data", "yamlfile"}
"""Modules without a room that every room may use; they import no room."""
WIRING = {"analysis": ROOMS[: ROOMS.index("report")], "__main__": ("cli",)}
"""Modules that join rooms, and those they may open."""
MAY_USE_ANALYSIS = {"report", "live", "crosscheck", "cli"}
NOT_MIRRORED = {
    "capture/batch.py": "a dataclass, used by every test of the room",
    "observations/sides.py": "a dataclass",
    "signatures/model.py": "dataclasses",
    "verdicts/model.py": "dataclasses",
    "decode/flags.py": "constants of two RFCs",
    "protocols/errors.py": "exceptions; parsers' tests say which is raised when",
    **{
        f"observations/dictionary/{table}.py": "entries, held to by test_dictionary.py"
        for table in (
            "call",
            "certificate",
            "dns",
            "dtls",
            "entry",
            "flow",
            "handshake",
            "http",
            "quic",
            "reset",
            "tls",
        )
    },
    "errors.py": "exceptions; their sentences are tested where they are raised",
}
LONGEST_FILE = 500

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, if only for type checking: ``flows.tcp``, ``errors``."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name.removeprefix("forensics.") for name in names if name.startswith("forensics.")}


def may_import(module: Path) -> set[str]:
    """First parts of the names that a module may import."""
    own = module.parts[0].removesuffix(".py")
    if own in ROOMS:
        analysis = {"analysis"} if own in MAY_USE_ANALYSIS else set()
        return HALLWAY | analysis | set(ROOMS[: ROOMS.index(own) + 1]) | {"__version__"}
    return HALLWAY | set(WIRING.get(own, ())) | {"__version__"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_rooms_import_only_to_their_left(module: Path) -> None:
    allowed = may_import(module)
    wrong = {name for name in imported(PACKAGE / module) if name.split(".")[0] not in allowed}
    assert wrong == set()


def test_every_module_has_its_mirrored_test() -> None:
    mirrors = {module: module.parent / f"test_{module.name.lstrip('_')}" for module in MODULES}
    missing = {
        module.as_posix()
        for module, mirror in mirrors.items()
        if not module.name.startswith("__") and not (REPO_ROOT / "tests" / mirror).is_file()
    }
    assert missing == set(NOT_MIRRORED)


def test_every_room_exists() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ROOMS)


def test_no_file_is_too_long_to_read() -> None:
    folders = ("forensics", "tests", "pcaps", "benchmarks", "scripts")
    files = [path for folder in folders for path in (REPO_ROOT / folder).rglob("*.py")]
    assert files
    long = {path.name: n for path in files if (n := len(path.read_text().splitlines())) > LONGEST_FILE}
    assert long == {}


def test_the_command_starts_without_what_it_rarely_needs() -> None:
    code = "import sys, forensics.cli; print(*({'scapy', 'pyshark', 'rich', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_plain_install_finds_its_signatures(tmp_path: Path) -> None:
    """Installed as ``pip install .`` does, into an environment that cannot see the checkout.

    The libraries are borrowed from the environment of the tests: nothing is fetched.
    """
    scratch = tmp_path / "venv"
    venv.create(scratch, with_pip=False)
    borrowed = next(path for path in sys.path if path.endswith("site-packages"))
    site = next((scratch / "lib").glob("python*/site-packages"))
    (site / "borrowed.pth").write_text(
        borrowed + "\n"
    )  # its own .pth files, the editable install, are not read
    python = str(scratch / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--quiet"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed"]
    subprocess.run([*pip, "install", *options, str(REPO_ROOT)], check=True)

    where = [python, "-c", "import forensics; print(forensics.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert found.startswith(str(site))

    command = str(scratch / "bin" / "forensics")
    listed = subprocess.run(
        [command, "signatures", "list"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    rules = {path.stem for path in (REPO_ROOT / "signatures" / "interference").rglob("*.yaml")}
    assert rules
    assert {rule for rule in rules if rule not in listed.stdout} == set()
