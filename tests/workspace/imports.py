"""What a source file imports, read from its syntax tree without running it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.utils import canonicalize_name
from tests.workspace.repository import ROOT

SHARED = ROOT / "shared/src/quartet_shared"
# A module of a declared dependency that imports a second distribution only when it is used.
NEEDS_MORE = {"torch.utils.tensorboard": "tensorboard"}


def own_files(package: Path) -> list[Path]:
    """The source files of a package without its linked copy of shared."""
    return [path for path in sorted(package.rglob("*.py")) if "_shared" not in path.relative_to(package).parts]


def module_name(path: Path, package: Path, name: str) -> str:
    """Dotted name of a file under `package`, which is imported as `name`."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join([name, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def imported(path: Path, module: str, *, at_import: bool = False) -> set[str]:
    """Absolute dotted names that a file imports, `from a import b` giving both `a` and `a.b`.

    Blocks under TYPE_CHECKING are left out; `at_import` leaves out function bodies, too.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names: set[str] = set()
    for node in _walk(ast.parse(path.read_text(encoding="utf-8")), at_import):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names.update({base}, (f"{base}.{alias.name}" for alias in node.names))
    return names


def _walk(node: ast.AST, at_import: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if at_import and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _walk(child, at_import)


def reached(package: Path, name: str, *, at_import: bool = False) -> set[str]:
    """Absolute names imported by a package's own modules and by the shared modules that these reach."""
    shared = f"{name}._shared"
    files = {module_name(path, SHARED, shared): path for path in own_files(SHARED)}
    todo = [(module_name(path, package, name), path) for path in own_files(package)]
    seen: set[str] = set()
    names: set[str] = set()
    while todo:
        module, path = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        found = imported(path, module, at_import=at_import)
        names |= found
        # Importing a.b.c runs a and a.b first.
        parents = {".".join(n.split(".")[:i]) for n in found for i in range(1, n.count(".") + 2)}
        todo += [(parent, files[parent]) for parent in parents if parent in files]
    return names


def distributions(names: set[str], name: str) -> set[str]:
    """The distributions that provide the third-party modules among `names`."""
    tops = {n.partition(".")[0] for n in names} - {"__future__", name, ""} - set(sys.stdlib_module_names)
    found = {canonicalize_name(_providers()[top][0]) for top in tops}
    return found | {extra for module, extra in NEEDS_MORE.items() if module in names}


@cache
def _providers() -> dict[str, list[str]]:
    return dict(packages_distributions())
