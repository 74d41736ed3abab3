"""Who may import whom: read from the source of every file, imports inside functions included."""

import ast
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1] / "keras_s2s"

EVERYTHING = {
    "audio",
    "backend",
    "bundle",
    "compression",
    "cores",
    "data",
    "decoding",
    "dynamic",
    "evaluation",
    "export",
    "layers",
    "losses",
    "memory",
    "models",
    "recipe",
    "runtime",
    "serving",
    "status",
    "text",
    "training",
}
# Everybody may also import the leaves: those of `COMMON`.
ALLOWED = {
    "keras_s2s": EVERYTHING | {"environment", "testing"},  # All but `environment` for types alone.
    "environment": {"cores"},
    "errors": set(),
    "atomic": set(),
    "config": set(),
    "layout": set(),
    "option": set(),
    "search_options": set(),
    "special_ids": set(),
    "typing": set(),
    "labels": set(),
    "registry": set(),
    "backend": set(),
    "bundle": set(),
    "cores": set(),
    "text": set(),
    "audio": {"backend"},
    "layers": {"backend"},
    "dynamic": {"backend"},
    "memory": set(),
    "status": set(),
    "losses": {"backend", "dynamic", "layers"},
    "decoding": {"backend", "dynamic", "layers"},
    "data": {"cores", "text"},
    "models": {"backend", "layers", "audio", "dynamic"},
    "evaluation": {"text"},
    "training": {"backend", "data", "models", "losses", "decoding", "evaluation", "layers", "memory", "status"},
    "runtime": {"bundle", "cores", "memory", "text"},
    "export": {
        "backend",
        "bundle",
        "cores",
        "models",
        "decoding",
        "layers",
        "text",
        "evaluation",
        "runtime",
        "status",
    },
    "compression": {
        "backend",
        "bundle",
        "cores",
        "data",
        "evaluation",
        "export",
        "layers",
        "losses",
        "models",
        "runtime",
        "status",
        "text",
        "training",
    },
    "serving": {"runtime", "bundle", "cores", "memory"},
    "recipe": EVERYTHING - {"recipe", "serving"},
    "testing": EVERYTHING - {"serving"},
    "cli": EVERYTHING,
}
COMMON: dict[str, set[str]] = {
    "errors": set(),
    "atomic": set(),
    "config": {"errors"},
    "layout": {"config", "errors"},
    "option": {"config", "errors"},
    "search_options": {"config", "errors", "option"},
    "special_ids": set(),
    "typing": set(),
    "labels": {"typing"},
    "registry": {"config", "errors"},
}

TENSORFLOW = {"tensorflow", "tensorflow_text", "tf2onnx"}
MAY_IMPORT_TENSORFLOW = (
    "compression.dev_loss",
    "compression.importance",
    "data",
    "decoding.entries",
    "decoding.forced",
    "decoding.generate",
    "decoding.heads",
    "decoding.inputs",
    "decoding.programs",
    "decoding.registry",
    "decoding.shapes",
    "decoding.steps",
    "text.in_graph",
    "training",
    "export",
    "recipe",
    "testing",
    "cli",
)
NO_KERAS = {
    "runtime",
    "serving",
    "bundle",
    "cores",
    "environment",
    "memory",
    "text",
    "evaluation",
    "atomic",
    "errors",
    "config",
    "layout",
    "option",
    "search_options",
    "special_ids",
    "typing",
    "labels",
    "registry",
}
QUICK = {"recipe", "cli"}
"""Their imports of TensorFlow and Keras stand inside functions, so that `--help` is quick."""


class Import(NamedTuple):
    """One import: `module` is a dotted name; `deferred` says that it stands inside a function, or is for types."""

    module: str
    deferred: bool
    line: int


def imports(path: Path, package: str) -> list[Import]:
    """All imports of a file. `package` is where relative ones start.

    Of `from a import b` both `a` and `a.b` are given, as b may be a module.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), path.name)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for_types = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    inside = {id(node) for block in (*functions, *for_types) for node in ast.walk(block)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        found += [Import(name, id(node) in inside, node.lineno) for name in names]
    return found


def read(root: Path) -> dict[str, list[Import]]:
    """Module name, without that of the root -> its imports."""
    files = {}
    for path in sorted(root.rglob("*.py")):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        package = parts[:-1]
        name = ".".join(package if parts[-1] == "__init__" else parts)
        files[name] = imports(path, ".".join(package))
    return files


def owner(module: str) -> str:
    """The package, or top-level module, of this project that a dotted name belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def wrong_arrows(files: dict[str, list[Import]], allowed: dict[str, set[str]]) -> list[str]:
    """Imports between packages that `allowed` does not have."""
    wrong = []
    for name, found in files.items():
        package = owner(name)
        permitted = {package, "keras_s2s", "__version__", *COMMON.get(package, COMMON), *allowed.get(package, ())}
        wrong += [
            f"{name}:{i.line} imports {i.module}"
            for i in found
            if i.module.split(".")[0] == "keras_s2s" and owner(i.module) not in permitted
        ]
    return wrong


def at_import(files: dict[str, list[Import]], first: str) -> set[str]:
    """Everything that is imported, directly or not, when `first` is."""
    seen: set[str] = set()
    waiting = [first]
    while waiting:
        module = waiting.pop()
        parents = [module.rsplit(".", n)[0] for n in range(module.count(".") + 1)]
        for name in {module, *parents} - seen:
            seen.add(name)
            waiting += [i.module for i in files.get(name, ()) if not i.deferred]
    return seen


def top_level(modules: Iterable[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


@pytest.fixture(scope="module")
def files() -> dict[str, list[Import]]:
    return read(ROOT)


def test_every_package_has_its_rule(files: dict[str, list[Import]]) -> None:
    assert {owner(name) for name in files} <= set(ALLOWED)


def test_no_import_goes_against_the_table(files: dict[str, list[Import]]) -> None:
    assert wrong_arrows(files, ALLOWED) == []


def test_nothing_imports_the_command_line() -> None:
    assert not [package for package, allowed in ALLOWED.items() if "cli" in allowed]


def test_the_table_has_no_circle() -> None:
    arrows = {package: set(allowed) for package, allowed in ALLOWED.items()}
    while arrows:
        free = [package for package, allowed in arrows.items() if not allowed & set(arrows)]
        assert free, f"a circle among {sorted(arrows)}"
        for package in free:
            del arrows[package]


def test_tensorflow_stays_where_it_belongs(files: dict[str, list[Import]]) -> None:
    homes = [f"keras_s2s.{name}" for name in MAY_IMPORT_TENSORFLOW]
    strangers = [
        f"{name}:{i.line}"
        for name, found in files.items()
        if not any(name == home or name.startswith(f"{home}.") for home in homes)
        for i in found
        if i.module.split(".")[0] in TENSORFLOW
    ]
    assert strangers == []


def test_packages_without_keras(files: dict[str, list[Import]]) -> None:
    strangers = [
        f"{name}:{i.line}"
        for name, found in files.items()
        if owner(name) in NO_KERAS
        for i in found
        if i.module.split(".")[0] == "keras"
    ]
    assert strangers == []


def test_what_is_made_of_keras_looks_at_its_backend_first(files: dict[str, list[Import]]) -> None:
    made_of_keras = {
        owner(name)
        for name, found in files.items()
        for i in found
        if i.module.split(".")[0] == "keras" and not i.deferred
    }
    first = {package: files[f"keras_s2s.{package}"][0].module for package in made_of_keras}
    assert first == dict.fromkeys(made_of_keras, "keras_s2s.backend")


def test_recipes_and_commands_import_heavy_libraries_in_functions_only(files: dict[str, list[Import]]) -> None:
    strangers = [
        f"{name}:{i.line}"
        for name, found in files.items()
        if owner(name) in QUICK
        for i in found
        if not i.deferred and i.module.split(".")[0] in {*TENSORFLOW, "keras"}
    ]
    assert strangers == []


@pytest.mark.parametrize("package", ["", ".bundle", ".cli", ".evaluation", ".runtime", ".serving", ".text"])
def test_importing_a_light_package_brings_no_heavy_library(files: dict[str, list[Import]], package: str) -> None:
    reached = at_import(files, f"keras_s2s{package}")
    assert not top_level(reached) & {*TENSORFLOW, "keras"}


def test_the_reader_sees_every_form_of_import(tmp_path: Path) -> None:
    root = tmp_path / "keras_s2s"
    (root / "text").mkdir(parents=True)
    (root / "__init__.py").touch()
    (root / "text" / "__init__.py").write_text("from . import inner\n")
    (root / "text" / "inner.py").write_text(
        "import keras_s2s.data.readers.text as s\n"
        "from keras_s2s import cli\n"
        "from ..models.config import ModelConfig\n"
        "from keras_s2s.errors import UserError\n"
        "class A:\n"
        "    def f(self):\n"
        "        from keras_s2s import build\n"
        "        import tensorflow\n"
    )
    files = read(root)
    assert wrong_arrows(files, ALLOWED) == [
        "keras_s2s.text.inner:1 imports keras_s2s.data.readers.text",
        "keras_s2s.text.inner:2 imports keras_s2s.cli",
        "keras_s2s.text.inner:3 imports keras_s2s.models.config",
        "keras_s2s.text.inner:3 imports keras_s2s.models.config.ModelConfig",
        "keras_s2s.text.inner:7 imports keras_s2s.build",
    ]
    assert Import("tensorflow", True, 8) in files["keras_s2s.text.inner"]
    reached = at_import(files, "keras_s2s.text")
    assert {"keras_s2s.text.inner", "keras_s2s.data.readers.text"} <= reached
    assert "tensorflow" not in reached
