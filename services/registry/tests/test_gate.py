from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from toxic_core.contract import file_digest
from toxic_core.errors import ConfigurationError, ContractError
from toxic_model.precision import Precision
from toxic_registry.gate.gate import Gate, reasons_against
from toxic_registry.gate.policy import PACKAGED, GatePolicy, read_policy
from toxic_registry.gate.sealed import SealedEvaluations
from toxic_testing.registry import GOOD_FIGURES, write_bundle


@contextmanager
def download(uri: str) -> Iterator[Path]:
    """Yield the folder that `uri` names."""
    if not Path(uri).is_dir():
        raise ContractError("It has no files.")
    yield Path(uri)


def policy(**comparisons: object) -> GatePolicy:
    """Make a policy with a floor, a ceiling, a required figure and a comparison."""
    return GatePolicy.model_validate(
        {
            "checks": [
                {"figure": "auc", "at_least": 0.9, "required": True},
                {"figure": "ece", "at_most": 0.1},
            ],
            "not_worse_than_champion": {
                "same_test_set": ["rows"],
                "figures": [
                    {"figure": "auc", "margin": 0.01},
                    {"figure": "ece", "margin": 0.02, "better": "lower"},
                ],
                **comparisons,
            },
        }
    )


@pytest.mark.parametrize(
    ("figures", "reasons"),
    [
        ({"auc": 0.9}, []),
        ({"auc": 0.9, "ece": 0.1}, []),
        ({"auc": 0.8999}, ["auc is 0.8999, below its floor of 0.9"]),
        ({"auc": 0.9, "ece": 0.11}, ["ece is 0.1100, above its ceiling of 0.1"]),
        ({}, ["auc is missing from its evaluation"]),
    ],
)
def test_every_check_that_fails_is_a_reason(figures: dict[str, float], reasons: list[str]) -> None:
    """A figure equal to its bound passes; only required figures must be present."""
    assert list(reasons_against(figures, None, policy())) == reasons


@pytest.mark.parametrize(
    ("figures", "starts"),
    [
        ({"auc": 0.94, "ece": 0.05, "rows": 10}, []),
        ({"auc": 0.93, "ece": 0.05, "rows": 10}, ["auc is 0.9300 against the champion's 0.9500"]),
        ({"auc": 0.95, "ece": 0.06, "rows": 10}, []),
        ({"auc": 0.95, "ece": 0.07, "rows": 10}, ["ece is 0.0700 against the champion's 0.0400"]),
        ({"auc": 0.95, "rows": 10}, ["it lacks figures that the champion has: ece;"]),
        ({"auc": 0.99, "ece": 0.01, "rows": 11}, ["it was measured on another test set"]),
        (
            {"auc": 0.99, "ece": 0.01},
            ["it lacks figures that the champion has: rows;", "it was measured on another test set"],
        ),
    ],
)
def test_loss_beyond_the_margin_is_a_reason(figures: dict[str, float], starts: list[str]) -> None:
    """On the same test set, in each figure's own direction; a loss equal to the margin passes."""
    champion = {"auc": 0.95, "ece": 0.04, "rows": 10}
    reasons = list(reasons_against(figures, champion, policy()))
    assert len(reasons) == len(starts)
    assert all(reason.startswith(start) for reason, start in zip(reasons, starts, strict=True))


LOST = {"auc": 0.95, "ece": 0.04, "rows": 10, "bias.a": 0.9, "bias.b": 0.9, "hate.c": 0.8, "hate.d": 0.8}


@pytest.mark.parametrize(
    ("figures", "waived", "named"),
    [
        ({"auc": 0.99, "ece": 0.04, "rows": 10}, [], "bias.a, bias.b, hate.c and 1 more"),
        ({"auc": 0.99, "ece": 0.04, "rows": 10}, ["bias.*"], "hate.c, hate.d;"),
        ({"auc": 0.99, "ece": 0.04, "rows": 10}, ["bias.*", "hate.c", "hate.d"], ""),
        ({"auc": 0.99, "rows": 10}, ["bias.*", "hate.*"], "ece;"),
        (LOST | {"auc": 0.99, "more": 1.0}, [], ""),
    ],
)
def test_figure_that_the_champion_has_cannot_be_left_out(
    figures: dict[str, float], waived: list[str], named: str
) -> None:
    """Leaving out an inconvenient figure is no way around its floor, unless the policy waives it by name."""
    rules = policy().model_copy(update={"waived": tuple(waived)})
    reasons = list(reasons_against(figures, LOST, rules))
    assert len(reasons) == bool(named)
    assert all(f"lacks figures that the champion has: {named}" in reason for reason in reasons)


@pytest.mark.parametrize("name", PACKAGED)
def test_figures_of_the_machine_and_of_corrections_may_be_missing(name: str) -> None:
    """Another processor, or a training without corrections, doesn't measure them."""
    rules = read_policy(name)
    measured = [precision.auc_change for precision in Precision if precision is not Precision.FLOAT32]
    assert all(map(rules.waives, [*measured, "feedback_test.toxic.all.auc"]))


def test_required_figure_can_be_waived() -> None:
    """For as long as its test data is missing, for example."""
    rules = policy().model_copy(update={"waived": ("auc",)})
    assert list(reasons_against({"ece": 0.04}, None, rules)) == []


def test_other_test_set_may_be_allowed() -> None:
    """Then the checks alone decide."""
    reasons = reasons_against(
        {"auc": 0.9, "rows": 11}, {"auc": 0.99, "rows": 10}, policy(on_another_test_set="allow")
    )
    assert list(reasons) == []


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"en.auc": 0.95, "en.rows": 5, "bias.auc": 0.5, "bias.rows": 9, "rows": 11}, ""),
        ({"en.auc": 0.93, "en.rows": 5, "bias.auc": 0.9, "bias.rows": 9, "rows": 11}, "en.auc is"),
        ({"en.auc": 0.93, "en.rows": 6, "bias.auc": 0.9, "bias.rows": 9, "rows": 11}, ""),
        ({"en.auc": 0.95, "en.rows": 5, "bias.auc": 0.5, "bias.rows": 9, "rows": 10}, "bias.auc is"),
        ({"en.auc": 0.95, "en.rows": 5, "rows": 11}, "it lacks figures that the champion has: bias"),
    ],
)
def test_versions_can_be_compared_per_source(figures: dict[str, float], reason: str) -> None:
    """A figure is compared if the nearest count of rows is equal; on the same test set, always."""
    champion = {"en.auc": 0.95, "en.rows": 5, "bias.auc": 0.9, "bias.rows": 8, "rows": 10}
    compared = [{"figure": name} for name in ("en.auc", "bias.auc", "other.auc")]
    rules = policy(on_another_test_set="per_source", figures=compared).model_copy(update={"checks": ()})
    reasons = list(reasons_against(figures, champion, rules))
    assert len(reasons) == bool(reason)
    assert all(each.startswith(reason) for each in reasons)


OLD = {**GOOD_FIGURES, "test.toxic.all.rows": 900.0, "test.toxic.en.rows": 500.0, "length.toxic.auc": 0.9}
SHIPPED_FIGURES = {**GOOD_FIGURES, "test.toxic.en.rows": 500.0}


@pytest.mark.parametrize(("english", "reason"), [(0.97, ""), (0.96, "test.toxic.en.auc is 0.9600 against")])
def test_shipped_model_can_follow_an_older_champion(tmp_path: Path, english: float, reason: str) -> None:
    """It is compared on the sources that both were measured on; other versions aren't adopted."""
    figures = {**SHIPPED_FIGURES, "test.toxic.en.auc": english}
    shipped, champion = write_bundle(tmp_path / "shipped", figures), write_bundle(tmp_path / "old", OLD)
    other = write_bundle(tmp_path / "other", {**figures, "test.toxic.it.auc": 0.99})
    digests = {"contract.json": "", "evaluation.json": file_digest(shipped / "evaluation.json")}
    gate = Gate(read_policy("default"), download, shipped=digests)
    assert len(gate.judge(str(shipped), champion_uri=str(champion)).reasons) == 2
    adopted = gate.judge(str(shipped), champion_uri=str(champion), adopt=True).reasons
    assert len(adopted) == bool(reason)
    assert all(each.startswith(reason) for each in adopted)
    refused = gate.judge(str(other), champion_uri=str(champion), adopt=True).reasons
    assert refused[0] == "its evaluation isn't that of the model that ships with this release"
    assert len(refused) == 3


def test_shipped_content_needs_no_signature(tmp_path: Path) -> None:
    """The package has its digest; content that differs needs one."""
    shipped = write_bundle(tmp_path / "shipped")
    other = write_bundle(tmp_path / "other", SHIPPED_FIGURES)
    digests = {"contract.json": file_digest(shipped / "contract.json"), "evaluation.json": ""}
    gate = Gate(read_policy("default"), download, trusted=dict, shipped=digests)
    assert gate.judge(str(shipped), champion_uri=None).reasons == ()
    assert len(gate.judge(str(other), champion_uri=None).reasons) == 1


SEALED_RULES = {
    "checks": [{"figure": "sealed.toxic.all.auc", "at_least": 0.9, "required": True}],
    "not_worse_than_champion": {"figures": [{"figure": "sealed.toxic.all.auc", "margin": 0.01}]},
}


@pytest.mark.hostile(10)
def test_policy_can_demand_the_registry_s_own_evaluation(tmp_path: Path) -> None:
    """A figure of that name in a bundle doesn't count, nor does one of another table."""
    (tmp_path / "table.csv").write_text("content,toxic\n")
    sealed = SealedEvaluations(tmp_path / "table.csv", tmp_path / "evaluations")
    gate = Gate(GatePolicy.model_validate(SEALED_RULES), download, sealed=sealed)
    claimed = write_bundle(tmp_path / "one", {**GOOD_FIGURES, "sealed.toxic.all.auc": 0.99})
    other = write_bundle(tmp_path / "two")
    (reason,) = gate.judge(str(claimed), champion_uri=None).reasons
    assert "toxic-registry evaluate" in reason
    digests = [file_digest(folder / "contract.json") for folder in (claimed, other)]
    for digest, measured in zip(digests, (0.95, 0.93), strict=True):
        sealed.keep(digest, {"sealed.toxic.all.auc": measured})
    assert gate.judge(str(claimed), champion_uri=None).reasons == ()
    (reason,) = gate.judge(str(other), champion_uri=str(claimed)).reasons
    assert reason.startswith("sealed.toxic.all.auc is 0.9300 against")
    (file,) = (tmp_path / "evaluations").glob(f"*/{digests[1]}/evaluation.json")
    file.write_text("{")
    (reason,) = gate.judge(str(other), champion_uri=str(claimed)).reasons
    assert "is damaged" in reason
    (tmp_path / "table.csv").write_text("content,toxic\na,1\n")
    (reason,) = gate.judge(str(claimed), champion_uri=None).reasons
    assert "is missing" in reason
    (tmp_path / "table.csv").unlink()
    (reason,) = gate.judge(str(claimed), champion_uri=None).reasons
    assert "REGISTRY_TEST_TABLE" in reason
    assert gate.judge_return(str(claimed)).reasons == (), "a way back is always open"


@pytest.mark.parametrize(("rules", "count"), [({}, 0), (SEALED_RULES, 2)])
def test_own_figures_are_needed_only_if_the_policy_names_them(rules: dict[str, object], count: int) -> None:
    """The champion was evaluated at the registry; its successor wasn't yet."""
    champion = {**GOOD_FIGURES, "sealed.toxic.all.auc": 0.95, "sealed.toxic.all.rows": 9.0}
    policy = GatePolicy.model_validate(rules)
    assert len(list(reasons_against(GOOD_FIGURES, champion, policy))) == count


def test_champion_without_evidence_needs_an_override(tmp_path: Path) -> None:
    """Damaging the champion's evidence doesn't let a worse version follow it."""
    bundle = write_bundle(tmp_path / "good")
    verdict = Gate(read_policy("default"), download).judge(str(bundle), champion_uri="/nowhere")
    assert verdict.reasons == ("the champion can't be compared with: It has no files.",)
    assert len(verdict.digest) == 64


def test_champion_s_figures_count_only_from_the_files_that_the_ledger_records(tmp_path: Path) -> None:
    """Files that were replaced and sealed again are whole, but not the champion's."""
    gate = Gate(read_policy("default"), download)
    one, two = str(write_bundle(tmp_path / "one")), str(write_bundle(tmp_path / "two"))
    digest = gate.judge_return(one).digest
    assert gate.judge(two, champion_uri=one, champion_digest=digest).reasons == ()
    assert gate.judge(two, champion_uri=one, champion_digest="").reasons == (), "a ledger without digests"
    (reason,) = gate.judge(two, champion_uri=one, champion_digest="0" * 64).reasons
    assert "aren't those that the ledger records" in reason


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_policy_accepts_a_good_version_and_refuses_a_bare_one(name: str, tmp_path: Path) -> None:
    """Each packaged policy can be met, and isn't met by an evaluation without its figures."""
    gate = Gate(read_policy(name), download)
    good, bare = write_bundle(tmp_path / "good"), write_bundle(tmp_path / "bare", {"test.x": 1.0})
    assert gate.judge(str(good), champion_uri=None).reasons == ()
    assert gate.judge(str(bare), champion_uri=None).reasons != ()


def test_demo_policy_accepts_the_sample_model() -> None:
    """A model trained for one minute on generated comments can become champion in the demo."""
    figures = {"test.toxic.all.auc": 0.88, "test.toxic.all.rows": 600.0}
    assert list(reasons_against(figures, GOOD_FIGURES, read_policy("demo"))) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("checks: [{figure: a}]", "neither at_least nor at_most"),
        ("checks: [{figure: a, at_least: .nan}]", "finite"),
        ("checks: [{figure: a, atleast: 1}]", "checks.0.atleast"),
        ("version: 2", "version"),
        ("checks: [", "isn't YAML"),
        ("- a", "valid dictionary"),
        ("\udc80", "can't be read"),
        (None, "can't be read"),
    ],
)
def test_invalid_policy_is_a_one_line_error(tmp_path: Path, content: str | None, message: str) -> None:
    """An invalid policy stops the server from starting."""
    file = tmp_path / "gate.yml"
    if content is not None:
        file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match=message) as error:
        read_policy(str(file))
    assert "\n" not in str(error.value)
    assert "REGISTRY_GATE_FILE" in str(error.value)
