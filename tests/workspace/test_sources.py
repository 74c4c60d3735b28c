"""Rules of the house that hold for every source file: one reader per format, no pickle, no foreign host."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.workspace.imports import SHARED, imported, module_name, own_files
from tests.workspace.repository import PACKAGES, ROOT, tracked_files

SOURCES = [path for name in PACKAGES for path in own_files(ROOT / "packages" / name / "src" / name)]
SOURCES += own_files(SHARED)
READERS = {"PIL.Image.open", "nibabel.load", "pydicom.dcmread", "tarfile", "zipfile"}
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "torch.load"}


def uses(path: Path) -> set[str]:
    """Dotted names that a file imports or reads as attributes of what it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            aliases.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    found = set(aliases.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            head, dot, rest = ast.unparse(node).partition(".")
            found.add(f"{aliases.get(head, head)}{dot}{rest}")
    return found


def offenders(forbidden: set[str], allowed: list[Path]) -> list[str]:
    found = []
    for path in SOURCES:
        hits = {use for use in uses(path) for name in forbidden if use == name or use.startswith(f"{name}.")}
        if hits and not any(path == place or place in path.parents for place in allowed):
            found.append(f"{path.relative_to(ROOT)}: {sorted(hits)}")
    return found


def test_the_scan_sees_through_aliases(tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text("from PIL import Image as I\nimport nibabel as nib\nI.open('x')\nnib.load('y')\n")
    assert uses(source) >= {"PIL.Image.open", "nibabel.load"}


def test_only_the_readers_of_shared_open_images_volumes_and_archives() -> None:
    assert offenders(READERS, [SHARED / "io"]) == []


def test_only_the_reader_of_foreign_weights_may_unpickle() -> None:
    assert offenders(UNSAFE, [SHARED / "foreign.py"]) == []


def test_no_source_asks_for_pickles_or_remote_code() -> None:
    pattern = re.compile(r"allow_pickle\s*=\s*True|weights_only\s*=\s*False|trust_remote_code\s*=\s*True")
    # One place may: its unpickler builds nothing but tensors and plain containers (tests/shared/test_foreign.py).
    restricted = 'torch.load(path, map_location="cpu", weights_only=False, pickle_module=_TensorPickle)'
    texts = {path: path.read_text() for path in SOURCES}
    assert texts[SHARED / "foreign.py"].count(restricted) == 1
    texts[SHARED / "foreign.py"] = texts[SHARED / "foreign.py"].replace(restricted, "")
    assert [str(path.relative_to(ROOT)) for path, text in texts.items() if pattern.search(text)] == []


def test_shared_imports_itself_relatively() -> None:
    # A relative import resolves to whatever name the module is given, an absolute one stays what it is.
    absolute = {
        str(path.relative_to(SHARED)): names
        for path in own_files(SHARED)
        if (
            names := {
                n for n in imported(path, module_name(path, SHARED, "linked")) if n.startswith("quartet_shared")
            }
        )
    }
    assert absolute == {}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_names_no_sibling_and_not_shared_itself(name: str) -> None:
    package = ROOT / "packages" / name / "src" / name
    siblings = {*PACKAGES, "quartet_shared"} - {name}
    for path in own_files(package):
        tops = {imp.partition(".")[0] for imp in imported(path, module_name(path, package, name))}
        assert not tops & siblings, path


def test_no_file_names_a_registry_host_or_a_path_of_a_machine() -> None:
    # Written in pieces, so that this file passes its own test.
    hosts = ["pypi" + ".org", "python" + "hosted", "registry." + "npmjs", "deb." + "debian", "npmjs" + ".com"]
    paths = ["/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/", "/Us" + "ers/", "/tm" + "p/"]
    pattern = re.compile(
        "|".join(map(re.escape, hosts)) + r"|(?<![\w.*~}])(" + "|".join(map(re.escape, paths)) + ")"
    )
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or tensor
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in pattern.finditer(text)]
    assert found == []
