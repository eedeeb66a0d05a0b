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


def test_the_hash_follows_every_file_and_its_name(tmp_path):
    (tmp_path / "pools").mkdir()
    rule, pool = tmp_path / "a.yaml", tmp_path / "pools" / "b.yaml"
    rule.write_text("x: 1")
    pool.write_text("y: 1")
    seen = {data.signature_sha256(tmp_path)}
    pool.write_text("y: 2")
    seen.add(data.signature_sha256(tmp_path))
    pool.rename(tmp_path / "b.yaml")
    seen.add(data.signature_sha256(tmp_path))
    (tmp_path / "notes.txt").write_text("no part of it")
    assert data.signature_sha256(tmp_path) in seen
    assert len(seen) == 3
