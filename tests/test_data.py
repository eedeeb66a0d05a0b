import pytest

from forensics import data
from forensics.errors import ForensicsError


def test_a_checkout_uses_the_files_that_are_edited(repo_root):
    assert data.signature_root() == repo_root / "signatures"


def test_an_installed_package_uses_its_own_files(tmp_path, monkeypatch):
    inside = tmp_path / "forensics" / "signatures" / "data"
    for root in (inside, tmp_path / "signatures"):
        (root / "interference").mkdir(parents=True)
    monkeypatch.setattr(data, "__file__", str(tmp_path / "forensics" / "data.py"))
    assert data.signature_root() == inside


def test_a_damaged_installation_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "__file__", str(tmp_path / "forensics" / "data.py"))
    with pytest.raises(ForensicsError, match="install forensics again"):
        data.signature_root()
