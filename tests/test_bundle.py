import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keras_s2s import UserError, bundle

NEEDS_SIGKILL = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")


def manifest(folder: Path, **changes: object) -> dict:
    """The content of a bundle.json for the files `tokens` and `graph` of `folder`."""
    tokenizer = {
        "path": "tokens",
        "sha256": bundle.sha256(folder / "tokens"),
        "vocabulary_size": 9,
        "test_vectors": [{"text": "ab", "ids": [4, 5]}],
    }
    graph = {"path": "graph", "sha256": bundle.sha256(folder / "graph"), "only_in_onnxruntime": ["Gelu"], "options": {}}
    content = {
        "schema_revision": 1,
        "name": "tiny",
        "task": "dates",
        "tokenizers": {"source": tokenizer, "target": tokenizer},
        "graphs": {"fp32": {"greedy": graph}},
        "files": {},
        "decoding": {
            "strategy": "greedy",
            "beam_size": 1,
            "length_penalty": 0.0,
            "length_penalty_base": 0.0,
            "n_best": 1,
            "max_length_factor": 2.0,
            "max_length_extra": 10,
        },
        "limits": {"max_source_tokens": 60},
        "model": {"kind": "rnn", "layers": 2},
        "metrics": {"exact_match": 0.99},
        "verification": {"sentences": 500},
        "versions": {"keras": "3.15.1"},
        "minimum_onnxruntime": "1.24.0",
        "created": "2026-01-31",
    }
    return {**content, **changes}


def fill(folder: Path, graph: str = "graph") -> None:
    (folder / "tokens").write_text("tokens")
    (folder / "graph").write_text(graph)
    bundle.write(folder, bundle.Manifest(**manifest(folder)))


def build(path: Path, graph: str = "graph") -> None:
    with bundle.building(path) as folder:
        fill(folder, graph)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    build(tmp_path / "tiny")
    return tmp_path / "tiny"


def rewrite(path: Path, **changes: object) -> None:
    (path / "bundle.json").write_text(json.dumps(manifest(path, **changes)))


def test_what_was_written_is_read(tiny: Path) -> None:
    found = bundle.read(tiny)
    assert found.path == tiny
    # What the bundle does not say has its default.
    read, written = found.manifest.model_dump(mode="json"), manifest(tiny)
    assert read | written | {"decoding": read["decoding"]} == read
    assert read["decoding"] | written["decoding"] == read["decoding"]
    assert set(found.manifest.hashes) == {"tokens", "graph"}
    bundle.verify(found, ["tokens", "graph"])


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_text("abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert bundle.sha256(tmp_path / "abc") == known


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent: no such folder"):
        bundle.read(tmp_path / "absent")


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a bundle; expected a folder with a bundle\.json"):
        bundle.read(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff{}"])
def test_a_manifest_that_is_not_json(tiny: Path, content: bytes) -> None:
    (tiny / "bundle.json").write_bytes(content)
    with pytest.raises(UserError, match=r"bundle\.json: expected JSON in UTF-8: [^\n]*$"):
        bundle.read(tiny)


def test_a_manifest_that_is_a_list(tiny: Path) -> None:
    (tiny / "bundle.json").write_text("[]")
    with pytest.raises(UserError, match=r"bundle\.json: "):
        bundle.read(tiny)


def test_a_newer_revision_is_said_before_its_unknown_keys(tiny: Path) -> None:
    rewrite(tiny, schema_revision=2, shortlist={})
    with pytest.raises(UserError) as error:
        bundle.read(tiny)
    assert str(error.value) == (
        f"{tiny / 'bundle.json'}: schema revision 2 is newer than this keras_s2s reads (1); upgrade keras_s2s"
    )


def test_a_mistyped_key(tiny: Path) -> None:
    rewrite(tiny, limitz={})
    with pytest.raises(UserError, match=r"bundle\.json: limitz: unknown key; did you mean 'limits'\?"):
        bundle.read(tiny)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"strategy": "beam"}, "beam_size"),
        ({"beam_size": 4}, "beam_size"),
        ({"n_best": 2}, "n_best"),
        ({"length_penalty": float("nan")}, "length_penalty"),
        ({"max_length_extra": -1}, "max_length_extra"),
    ],
)
def test_wrong_decoding_defaults(tiny: Path, changes: dict, key: str) -> None:
    rewrite(tiny, decoding={**manifest(tiny)["decoding"], **changes})
    with pytest.raises(UserError, match=rf"bundle\.json: decoding\.{key}: "):
        bundle.read(tiny)


@pytest.mark.parametrize("date", ["yesterday", "2026-13-01"])
def test_a_date_that_is_none(tiny: Path, date: str) -> None:
    rewrite(tiny, created=date)
    with pytest.raises(UserError, match="created: "):
        bundle.read(tiny)


def test_a_tampered_file(tiny: Path) -> None:
    (tiny / "graph").write_text("another")
    found = bundle.read(tiny)
    bundle.verify(found, ["tokens"])
    with pytest.raises(UserError) as error:
        bundle.verify(found, ["tokens", "graph"])
    message = "its SHA-256 is not the one in bundle.json; export the bundle again"
    assert str(error.value) == f"{tiny / 'graph'}: {message}"


def test_a_missing_file(tiny: Path) -> None:
    (tiny / "graph").unlink()
    with pytest.raises(UserError, match="graph: missing from the bundle"):
        bundle.verify(bundle.read(tiny), ["graph"])


def test_a_file_that_the_manifest_does_not_name(tiny: Path) -> None:
    (tiny / "other").write_text("other")
    with pytest.raises(UserError, match=r"other: not named in bundle\.json"):
        bundle.read(tiny).file("other")


def test_one_file_has_one_hash(tiny: Path) -> None:
    rewrite(tiny, files={"graph": "0" * 64})
    with pytest.raises(UserError, match="'graph' is named with two different SHA-256"):
        bundle.read(tiny)


@pytest.mark.parametrize(
    "path", ["../tokens", "/etc/hostname", "a/../../b", "C:/graph", "a\\b", "", ".", "./graph", "a//b"]
)
def test_paths_that_leave_the_bundle_or_are_not_plain(tiny: Path, path: str) -> None:
    for files, graph in (({path: "0" * 64}, "graph"), ({}, path)):
        graphs = {"fp32": {"greedy": {"path": graph, "sha256": bundle.sha256(tiny / "graph")}}}
        rewrite(tiny, files=files, graphs=graphs)
        with pytest.raises(UserError, match=r"expected .*(a path inside the bundle|plain form)"):
            bundle.read(tiny)


def test_a_link_is_what_it_leads_to(tiny: Path) -> None:
    elsewhere = tiny.parent / "graph"
    (tiny / "graph").rename(elsewhere)
    (tiny / "graph").symlink_to(elsewhere)
    found = bundle.read(tiny)
    bundle.verify(found, ["graph"])
    assert found.content("graph") == elsewhere.read_bytes()
    elsewhere.write_text("another")
    for look in (lambda: bundle.verify(found, ["graph"]), lambda: found.content("graph")):
        with pytest.raises(UserError, match="graph: its SHA-256 is not the one in"):
            look()
    elsewhere.unlink()
    for make in (lambda: None, elsewhere.mkdir):
        make()
        with pytest.raises(UserError, match="graph: missing from the bundle"):
            bundle.verify(found, ["graph"])


def test_a_linked_bundle_is_a_bundle(tiny: Path) -> None:
    link = tiny.parent / "link"
    link.symlink_to(tiny)
    bundle.verify(bundle.read(link), ["graph"])


def test_a_new_bundle_takes_the_place_of_the_old(tiny: Path) -> None:
    (tiny / "old").write_text("old")
    build(tiny, "new")
    assert (tiny / "graph").read_text() == "new"
    assert not (tiny / "old").exists()
    assert os.listdir(tiny.parent) == ["tiny"]


def test_a_bundle_below_folders_that_are_not_there_yet(tmp_path: Path) -> None:
    build(tmp_path / "a" / "b")
    bundle.read(tmp_path / "a" / "b")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_leaves_the_old_bundle(tiny: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), bundle.building(tiny) as folder:
        fill(folder, "new")
        raise error
    assert (tiny / "graph").read_text() == "graph"
    assert os.listdir(tiny.parent) == ["tiny"]


def test_an_interrupted_first_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), bundle.building(tmp_path / "tiny"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_an_interrupt_between_the_renames_restores_the_old(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if ".building-" in self.name:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(tiny, "new")
    assert (tiny / "graph").read_text() == "graph"
    assert os.listdir(tiny.parent) == ["tiny"]


def test_half_a_bundle_does_not_replace_one(tiny: Path) -> None:
    with pytest.raises(UserError, match="not a bundle"), bundle.building(tiny):
        pass
    with pytest.raises(UserError, match="graph: missing"), bundle.building(tiny) as folder:
        fill(folder)
        (folder / "graph").unlink()
    assert (tiny / "graph").read_text() == "graph"


def test_what_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "note").write_text("keep me")
    with pytest.raises(UserError, match="notes: exists and is not a bundle"):
        build(tmp_path / "notes")
    with pytest.raises(UserError, match="note: exists and is not a bundle"):
        build(tmp_path / "notes" / "note")
    assert (tmp_path / "notes" / "note").read_text() == "keep me"


@NEEDS_SIGKILL
def test_what_a_killed_build_left_is_cleared_by_the_next(tiny: Path) -> None:
    program = (
        "import os, signal, sys; from keras_s2s import bundle\n"
        "with bundle.building(sys.argv[1]) as folder:\n"
        "    (folder / 'half').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, tiny])
    assert killed.wait() == -signal.SIGKILL
    left_over = f".tiny.building-{killed.pid}"
    assert sorted(os.listdir(tiny.parent)) == [left_over, "tiny"]
    build(tiny, "new")
    assert os.listdir(tiny.parent) == ["tiny"]


@NEEDS_SIGKILL
def test_a_bundle_put_aside_by_a_killed_build_comes_back(tiny: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    tiny.rename(tiny.with_name(f".tiny.replaced-{dead.pid}"))
    with pytest.raises(KeyboardInterrupt), bundle.building(tiny):
        raise KeyboardInterrupt
    assert (tiny / "graph").read_text() == "graph"
    assert os.listdir(tiny.parent) == ["tiny"]


def test_the_folder_of_a_build_that_still_runs_is_left_alone(tiny: Path) -> None:
    running = tiny.with_name(f".tiny.building-{os.getppid()}")
    other = tiny.with_name(".tinier.building-999999999")
    for folder in (running, other):
        folder.mkdir()
    build(tiny)
    assert running.exists() and other.exists()
