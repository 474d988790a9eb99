"""The import contract of pyproject.toml fails when somebody breaches it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LAYERS = ("domain", "application", "adapters", "composition", "entrypoints")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A sound project in miniature under the real contract."""
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    package = tmp_path / "chalicelib"
    package.mkdir()
    (package / "__init__.py").touch()
    for layer in LAYERS:
        (package / layer).mkdir()
        (package / layer / "__init__.py").touch()
    for upper, lower in zip(LAYERS[1:], LAYERS, strict=False):
        (package / upper / "uses.py").write_text(f"import chalicelib.{lower}\n", encoding="utf-8")
    return tmp_path


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [str(program), "--no-cache"], cwd=tree, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_sound_tree_passes(tree: Path) -> None:
    result = lint(tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("domain", "import chalicelib.application"),
        ("application", "from chalicelib.adapters import uses"),
        ("adapters", "import chalicelib.composition"),
        ("composition", "import chalicelib.entrypoints"),
        ("domain", "import pydantic"),
        ("application", "from botocore.exceptions import ClientError"),
        ("application", "def late() -> None:\n    import stripe"),
        ("entrypoints", "from chalicelib.adapters import uses"),
    ],
)
def test_a_breach_fails(tree: Path, layer: str, line: str) -> None:
    (tree / "chalicelib" / layer / "breach.py").write_text(line + "\n", encoding="utf-8")
    result = lint(tree)
    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout
    assert f"chalicelib.{layer}.breach" in result.stdout
