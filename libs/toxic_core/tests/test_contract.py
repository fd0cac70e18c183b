"""Sealing and opening bundles."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from toxic_core.contract import (
    CONTRACT_FILE,
    REQUIRED_FILES,
    TOKENIZER_FILE,
    WARMUP_FILE,
    Bundle,
    Calibration,
    Contract,
    WarmupExample,
    file_digest,
    open_bundle,
    read_contract,
    seal,
    write_warmup,
)
from toxic_core.contract.reference import Distribution
from toxic_core.errors import ContractError, DigestMismatchError
from toxic_core.labels import LABELS, Label, LabelName
from toxic_core.languages import ANY_LANGUAGE
from toxic_core.text import NORMALISATION_VERSION

Json = dict[str, object]


def rewrite(bundle: Bundle, change: Json, *, without: str | None = None) -> None:
    """Change the sealed bundle's `contract.json` only."""
    file = bundle.path / CONTRACT_FILE
    content = json.loads(file.read_text()) | change
    content.pop(without, None)
    file.write_text(json.dumps(content))


def test_a_sealed_bundle_opens_with_the_same_contract(bundle: Bundle) -> None:
    """`open_bundle` returns what `seal` returned, with a digest of every other file."""
    opened = open_bundle(bundle.path)
    assert opened == bundle
    assert sorted(opened.contract.files) == [
        "saved_model/saved_model.pb",
        "saved_model/variables/variables.index",
        TOKENIZER_FILE,
        WARMUP_FILE,
    ]
    assert opened.contract.files[TOKENIZER_FILE] == file_digest(opened.tokenizer)
    assert (opened.saved_model / "saved_model.pb").read_bytes() == b"graph"


def test_a_moved_bundle_opens(bundle: Bundle, tmp_path: Path) -> None:
    """The contract has no absolute path, so a downloaded bundle opens."""
    moved = bundle.path.rename(tmp_path / "elsewhere")
    assert open_bundle(moved).contract == bundle.contract


def test_sealing_again_records_the_new_files(bundle: Bundle) -> None:
    """A second seal replaces the contract, which doesn't list itself."""
    (bundle.path / "onnx").mkdir()
    (bundle.path / "onnx" / "model.onnx").write_bytes(b"onnx")
    again = seal(bundle.path, bundle.contract)
    assert open_bundle(bundle.path) == again
    assert again.contract.files.keys() - bundle.contract.files.keys() == {"onnx/model.onnx"}


def test_thresholds_fall_back_to_any_language(contract: Contract) -> None:
    """Languages without their own threshold, unknown ones and None get the general one."""
    assert contract.threshold(Label.TOXIC, "es") == 0.7
    assert [contract.threshold(Label.TOXIC, language) for language in ("en", "xx", None)] == [0.5] * 3


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_sealing_refuses_an_incomplete_folder(name: str, unsealed: Path, contract: Contract) -> None:
    """The message names the missing file, and no contract is written."""
    (unsealed / name).unlink()
    with pytest.raises(ContractError, match=name):
        seal(unsealed, contract)
    assert not (unsealed / CONTRACT_FILE).exists()


@pytest.mark.parametrize("name", [*REQUIRED_FILES, "saved_model/variables/variables.index"])
def test_a_missing_file_is_refused(name: str, bundle: Bundle) -> None:
    """The message names the file."""
    (bundle.path / name).unlink()
    with pytest.raises(ContractError, match=f"{name} is missing"):
        open_bundle(bundle.path)


@pytest.mark.parametrize("name", [*REQUIRED_FILES, "saved_model/variables/variables.index"])
def test_a_changed_byte_is_refused(name: str, bundle: Bundle) -> None:
    """The message names the file."""
    content = bytearray((bundle.path / name).read_bytes())
    content[-1] ^= 1
    (bundle.path / name).write_bytes(content)
    with pytest.raises(DigestMismatchError, match=name):
        open_bundle(bundle.path)


def test_a_file_that_changes_after_it_was_verified_is_noticed(bundle: Bundle) -> None:
    """As a reader may have read either content."""
    opened = open_bundle(bundle.path)
    opened.check_unchanged()
    file = bundle.path / TOKENIZER_FILE
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ContractError, match="replaced while"):
        opened.check_unchanged()


def test_a_truncated_file_is_refused(bundle: Bundle) -> None:
    """An incomplete download is a digest mismatch."""
    os.truncate(bundle.path / WARMUP_FILE, 10)
    with pytest.raises(DigestMismatchError, match=WARMUP_FILE):
        open_bundle(bundle.path)


@pytest.mark.parametrize("name", ["extra.bin", "saved_model/variables/.hidden", "saved_model/contract.json"])
def test_an_unlisted_file_is_refused(name: str, bundle: Bundle) -> None:
    """The message names the file, also in a subfolder."""
    (bundle.path / name).write_bytes(b"")
    with pytest.raises(ContractError, match=rf"doesn't list: {name}"):
        open_bundle(bundle.path)


def test_a_link_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """A link's target could change after the check."""
    outside = (bundle.path / WARMUP_FILE).rename(tmp_path / "outside")
    (bundle.path / WARMUP_FILE).symlink_to(outside)
    with pytest.raises(ContractError, match="neither a file nor a folder"):
        open_bundle(bundle.path)


def test_a_linked_folder_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """The digests wouldn't cover files behind a link."""
    (bundle.path / "assets").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ContractError, match="assets is neither a file nor a folder"):
        open_bundle(bundle.path)


def test_a_pipe_is_refused(unsealed: Path, contract: Contract) -> None:
    """A pipe could block a reader, so it isn't opened."""
    os.mkfifo(unsealed / "pipe")
    with pytest.raises(ContractError, match="pipe is neither a file nor a folder"):
        seal(unsealed, contract)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/hostname", "saved_model/../../outside", "./extra", "a//b", "", "."]
)
def test_a_path_out_of_the_bundle_is_refused(name: str, bundle: Bundle) -> None:
    """`read_contract` accepts plain relative paths only."""
    rewrite(bundle, {"files": {**bundle.contract.files, name: "0" * 64}})
    with pytest.raises(ContractError, match="not the plain relative path"):
        read_contract(bundle.path)


def test_an_existing_file_outside_is_not_read(bundle: Bundle, tmp_path: Path) -> None:
    """The right digest of a file outside doesn't make it part of the bundle."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    rewrite(bundle, {"files": {**bundle.contract.files, "../outside": file_digest(outside)}})
    with pytest.raises(ContractError, match="outside"):
        open_bundle(bundle.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"schema_version": "1.0"}, "schema_version"),
        ({"labels": []}, "labels"),
        ({"labels": [*LABELS, LABELS[0]]}, "distinct"),
        ({"labels": ["Spam!"]}, "labels"),
        ({"labels": [*LABELS, "sexual_explicit"]}, "no calibration .* of sexual_explicit"),
        ({"normalisation_version": NORMALISATION_VERSION + 1}, "normalised by version"),
        ({"thresholds": {}}, "no thresholds"),
        ({"calibration": {}}, "no calibration"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"pad_id": -1}, "pad_id"),
        ({"files": {TOKENIZER_FILE: "abc"}}, TOKENIZER_FILE),
        ({"files": {}}, "lacks"),
        ({"created_at": "2026-11-23T10:00:00"}, "created_at"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_an_unsupported_contract_is_refused(change: Json, message: str, bundle: Bundle) -> None:
    """A contract of another schema, other labels, another normalisation or with gaps is refused."""
    rewrite(bundle, change)
    with pytest.raises(ContractError, match=message):
        open_bundle(bundle.path)


@pytest.mark.parametrize("table", ["thresholds", "calibration"])
@pytest.mark.parametrize("label", LABELS)
def test_a_label_without_a_general_value_is_refused(table: str, label: LabelName, bundle: Bundle) -> None:
    """Every label needs a general threshold and calibration."""
    content = json.loads((bundle.path / CONTRACT_FILE).read_text())
    content[table][label] = {"es": content[table][label][ANY_LANGUAGE]}
    (bundle.path / CONTRACT_FILE).write_text(json.dumps(content))
    with pytest.raises(ContractError, match=rf"no {table} .* of {label}\."):
        open_bundle(bundle.path)


@pytest.mark.parametrize(
    "labels", [LABELS[:1], LABELS[::-1], (*LABELS, "sexual_explicit"), ("spam", "off_topic")]
)
def test_any_ordered_labels_are_accepted(labels: tuple[str, ...], unsealed: Path, contract: Contract) -> None:
    """Fewer labels, another order and names that this code doesn't know open as they were sealed."""
    own = {
        "labels": labels,
        "calibration": {label: {ANY_LANGUAGE: Calibration()} for label in labels},
        "thresholds": {label: {ANY_LANGUAGE: 0.25} for label in labels},
    }
    write_warmup(unsealed, [WarmupExample(text="hello", scores=(0.5,) * len(labels))])
    opened = open_bundle(seal(unsealed, contract.model_copy(update=own)).path)
    assert opened.contract.labels == labels
    assert [opened.contract.threshold(label, "es") for label in labels] == [0.25] * len(labels)
    assert len(opened.warmup()[0].scores) == len(labels)


def test_the_base_model_is_stored_under_its_first_name(bundle: Bundle) -> None:
    """`contract.json` calls the base model `encoder`, as older code does; both names are read."""
    assert json.loads((bundle.path / CONTRACT_FILE).read_text())["encoder"] == "tiny"
    rewrite(bundle, {"base_model": "small"}, without="encoder")
    assert read_contract(bundle.path).base_model == "small"


@pytest.mark.parametrize(
    "field", ["labels", "max_tokens", "pad_id", "thresholds", "calibration", "created_at"]
)
def test_a_contract_without_a_field_is_refused(field: str, bundle: Bundle) -> None:
    """The message names the required field."""
    rewrite(bundle, {}, without=field)
    with pytest.raises(ContractError, match=field):
        open_bundle(bundle.path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_contract_is_refused(share: float, bundle: Bundle) -> None:
    """Incomplete JSON is invalid."""
    file = bundle.path / CONTRACT_FILE
    os.truncate(file, int(file.stat().st_size * share))
    with pytest.raises(ContractError, match="isn't a valid contract"):
        open_bundle(bundle.path)


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"null", b"[]", b'"text"', b'{"labels": NaN}'])
def test_a_file_that_is_no_contract_is_refused(content: bytes, bundle: Bundle) -> None:
    """Other JSON and other bytes are invalid."""
    (bundle.path / CONTRACT_FILE).write_bytes(content)
    with pytest.raises(ContractError, match="isn't a valid contract"):
        open_bundle(bundle.path)


def test_a_folder_without_a_contract_is_refused(unsealed: Path) -> None:
    """An unsealed and a missing folder are refused."""
    with pytest.raises(ContractError, match="not a complete model bundle"):
        open_bundle(unsealed)
    with pytest.raises(ContractError, match="is missing"):
        open_bundle(unsealed / "nowhere")


def test_an_unreadable_contract_is_refused(unsealed: Path) -> None:
    """A folder instead of the contract, or a file instead of the bundle's folder."""
    (unsealed / CONTRACT_FILE).mkdir()
    with pytest.raises(ContractError, match="can't be read"):
        read_contract(unsealed)
    with pytest.raises(ContractError, match="can't be read"):
        read_contract(unsealed / WARMUP_FILE)


_KILLED_BEFORE_THE_RENAME = """
import os, signal, sys
from pathlib import Path
from toxic_core.contract import Contract, seal

Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
seal(Path(sys.argv[1]), Contract.model_validate_json(sys.stdin.buffer.read()))
"""

_DISK_FULL = """
import resource, sys
from pathlib import Path
from toxic_core.contract import Contract, seal

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
seal(Path(sys.argv[1]), Contract.model_validate_json(sys.stdin.buffer.read()))
"""


@pytest.mark.parametrize(
    ("program", "status"), [(_KILLED_BEFORE_THE_RENAME, -signal.SIGKILL), (_DISK_FULL, 1)]
)
def test_a_killed_seal_leaves_no_contract(
    program: str, status: int, unsealed: Path, contract: Contract
) -> None:
    """A folder that was being sealed when the process was killed or the disk full can be sealed again."""
    died = subprocess.run(
        [sys.executable, "-c", program, str(unsealed)],
        input=contract.model_dump_json().encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert died.returncode == status, died.stderr
    assert len(list(unsealed.glob(f".{CONTRACT_FILE}.*.partial"))) == (status == -signal.SIGKILL)
    with pytest.raises(ContractError, match="not a complete model bundle"):
        open_bundle(unsealed)
    assert open_bundle(seal(unsealed, contract).path).contract.files.keys() >= set(REQUIRED_FILES)


@pytest.mark.parametrize("slope", [0.0, -1.0, float("nan"), float("inf")])
def test_a_calibration_that_reverses_the_ranking_is_refused(slope: float) -> None:
    """The slope must be positive and finite."""
    with pytest.raises(ValidationError, match="slope"):
        Calibration(slope=slope)


@pytest.mark.parametrize(
    ("edges", "counts"),
    [
        ((0.0, 1.0), ()),
        ((0.0, 1.0), (1, 1)),
        ((), ()),
        ((1.0, 0.0), (1,)),
        ((0.0, 0.0), (1,)),
        ((0.0, 1.0), (-1,)),
    ],
)
def test_a_distribution_with_invalid_bins_is_refused(
    edges: tuple[float, ...], counts: tuple[int, ...]
) -> None:
    """Edges must ascend and be one more than the counts, which can't be negative."""
    with pytest.raises(ValidationError):
        Distribution(edges=edges, counts=counts)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_probability(threshold: float, contract: Contract) -> None:
    """Operating thresholds are between 0 and 1."""
    content = contract.model_dump() | {"thresholds": {Label.TOXIC: {ANY_LANGUAGE: threshold}}}
    with pytest.raises(ValidationError, match="thresholds"):
        Contract.model_validate(content)


@pytest.mark.parametrize("name", ["model.pkl", "saved_model/assets/x.PICKLE", "weights.pt"])
def test_a_pickle_is_refused(unsealed: Path, contract: Contract, name: str) -> None:
    """Loading a pickle could execute code."""
    (unsealed / name).parent.mkdir(exist_ok=True)
    (unsealed / name).write_bytes(b"\x80\x04N.")
    with pytest.raises(ContractError, match="pickle"):
        seal(unsealed, contract)


def test_a_bundle_above_the_size_limit_is_not_read(bundle: Bundle) -> None:
    """The size is checked before any file is read, also for sparse files."""
    assert open_bundle(bundle.path, max_bytes=100_000)
    with (bundle.saved_model / "variables" / "variables.index").open("r+b") as file:
        file.truncate(10**12)
    with pytest.raises(ContractError, match=r"more than the limit of 100,000"):
        open_bundle(bundle.path, max_bytes=100_000)
