"""A version's figures count only if someone trusted vouches for them, and none can be left out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from toxic_core.contract import CONTRACT_FILE, SIGNATURE_FILE, open_bundle, read_contract, seal
from toxic_core.contract.evidence import write_evaluation
from toxic_core.contract.provenance import sign_bundle
from toxic_core.signatures import SigningKey
from toxic_registry.gate.gate import Gate
from toxic_registry.gate.policy import read_policy
from toxic_testing.registry import GOOD_FIGURES, write_bundle

PERFECT = {name: 0.999 if name.endswith("auc") else value for name, value in GOOD_FIGURES.items()}


@contextmanager
def download(uri: str) -> Iterator[Path]:
    """Yield the folder that `uri` names."""
    yield Path(uri)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    """The trainer's key."""
    return SigningKey.read_or_create(tmp_path / "trainer.key")


@pytest.fixture
def gate(key: SigningKey) -> Gate:
    """The packaged gate, which trusts the trainer."""
    return Gate(read_policy("default"), download, trusted=lambda: {key.public: "trainer"})


@pytest.fixture
def bundle(tmp_path: Path, key: SigningKey) -> Path:
    """A version that the trainer signed."""
    folder = write_bundle(tmp_path / "bundle")
    sign_bundle(folder, key)
    return folder


def invent_figures(folder: Path) -> None:
    """Give an all-zero model an evaluation of one's own, and seal it."""
    write_evaluation(folder, PERFECT)
    contract = read_contract(folder)
    calibration = {
        label: {name: value.model_copy(update={"intercept": -30.0}) for name, value in languages.items()}
        for label, languages in contract.calibration.items()
    }
    seal(folder, contract.model_copy(update={"calibration": calibration}))


def sign_oneself(folder: Path) -> None:
    """Sign the invention with a key of one's own."""
    invent_figures(folder)
    sign_bundle(folder, SigningKey.read_or_create(folder.parent / "attacker.key"))


def borrow_key(folder: Path) -> None:
    """Name the trainer's key in a signature of one's own."""
    borrowed = (folder / SIGNATURE_FILE).read_text()
    sign_oneself(folder)
    own = (folder / SIGNATURE_FILE).read_text()
    (folder / SIGNATURE_FILE).write_text(borrowed.split('"value"')[0] + '"value"' + own.split('"value"')[1])


def remove_signature(folder: Path) -> None:
    """Remove the signature."""
    (folder / SIGNATURE_FILE).unlink()


def damage_signature(folder: Path) -> None:
    """Replace the signature by something else."""
    (folder / SIGNATURE_FILE).write_text("[]")


@pytest.mark.parametrize(
    "attack", [invent_figures, sign_oneself, borrow_key, remove_signature, damage_signature]
)
@pytest.mark.hostile(10)
def test_evidence_without_a_trusted_signature_is_refused(
    gate: Gate, bundle: Path, attack: Callable[[Path], None]
) -> None:
    """Also if the bundle is whole and its figures are excellent."""
    assert gate.judge(str(bundle), champion_uri=None).reasons == ()
    attack(bundle)
    open_bundle(bundle)
    (reason,) = gate.judge(str(bundle), champion_uri=None).reasons
    assert reason.startswith("nobody vouches for its evaluation")


def test_signature_is_no_part_of_the_sealed_files(bundle: Path) -> None:
    """A bundle has the same digest before and after it is signed."""
    before = (bundle / CONTRACT_FILE).read_bytes()
    assert SIGNATURE_FILE not in read_contract(bundle).files
    (bundle / SIGNATURE_FILE).unlink()
    assert seal(bundle, read_contract(bundle)).contract == read_contract(bundle)
    assert (bundle / CONTRACT_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("rule", "trusted", "reasons"), [(None, 1, 1), (None, 0, 0), ("refuse", 0, 1), ("allow", 1, 0)]
)
def test_policy_decides_about_unsigned_evidence(
    tmp_path: Path, key: SigningKey, rule: str | None, trusted: int, reasons: int
) -> None:
    """Without a rule, trusted keys are what turns it on."""
    policy = read_policy("default").model_copy(update={"unsigned_evidence": rule})
    gate = Gate(policy, download, trusted=(lambda: {key.public: "trainer"}) if trusted else None)
    assert len(gate.judge(str(write_bundle(tmp_path / "bundle")), champion_uri=None).reasons) == reasons


@pytest.mark.hostile(13)
def test_inconvenient_figures_cannot_be_left_out(tmp_path: Path) -> None:
    """The champion's bias and HateCheck figures have floors and comparisons."""
    more = {
        "bias.toxic.combined": 0.9,
        "hatecheck.non_hateful.identity_accuracy": 0.8,
        "heldout.threat.all.auc": 0.9,
    }
    champion = write_bundle(tmp_path / "champion", {**GOOD_FIGURES, **more})
    silent = write_bundle(tmp_path / "silent")
    gate = Gate(read_policy("default"), download)
    (reason,) = gate.judge(str(silent), champion_uri=str(champion)).reasons
    assert all(name in reason for name in more)


@pytest.mark.hostile(12)
def test_damaging_the_champion_s_evidence_does_not_help_its_successor(tmp_path: Path) -> None:
    """What can't be compared needs an override."""
    champion = write_bundle(tmp_path / "champion")
    worse = write_bundle(tmp_path / "worse", {**GOOD_FIGURES, "test.toxic.es.auc": 0.88})
    gate = Gate(read_policy("default"), download)
    assert gate.judge(str(worse), champion_uri=str(champion)).reasons
    (champion / "evaluation.json").write_text("{}")
    assert gate.judge(str(worse), champion_uri=str(champion)).reasons
