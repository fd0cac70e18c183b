"""Policies: the file, its lists, thresholds and markup."""

import math
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from toxic_core.errors import ConfigurationError
from toxic_inference.policies.file import Policies, read_policies
from toxic_inference.policies.lists import Matcher
from toxic_inference.policies.markup import strip_markup
from toxic_inference.policies.policy import DecidedBy, Policy, PolicyUnusableError
from toxic_inference.serving.interfaces import TextScore
from toxic_testing.inference.bundles import make_contract

CONTRACT = make_contract()


def policy(**members: object) -> Policy:
    """Return a valid policy."""
    return Policy.model_validate(members)


def decide(rules: Policy, text: str, *, score: float, low_confidence: bool = False) -> TextScore:
    """Return what a policy decides about a text with six equal scores."""
    given = TextScore((score,) * 6, (False,) * 6, tokens=3, truncated=False, low_confidence=low_confidence)
    return rules.decide(given, "en", listed=rules.listed(text, CONTRACT), contract=CONTRACT)


def test_thresholds_are_by_label_and_language() -> None:
    """A language's own, the one for any, or the contract's."""
    rules = policy(thresholds={"toxic": {"*": 0.8, "de": 0.2}})
    assert rules.threshold("toxic", "de", CONTRACT) == 0.2
    assert rules.threshold("toxic", "en", CONTRACT) == rules.threshold("toxic", None, CONTRACT) == 0.8
    assert rules.threshold("insult", "de", CONTRACT) == 0.5


def test_a_text_of_low_confidence_is_decided_by_lists_only() -> None:
    """The model's score doesn't count."""
    rules = policy(thresholds={"toxic": {"*": 0.1}}, flag={"words": ["foo"], "labels": ["insult"]})
    assert not any(decide(rules, "bar", score=0.9, low_confidence=True).decisions)
    found = decide(rules, "foo", score=0.9, low_confidence=True).decisions
    assert dict(zip(CONTRACT.labels, found, strict=True)) == {
        label: label == "insult" for label in CONTRACT.labels
    }


@pytest.mark.parametrize(
    ("rule", "expected"),
    [({"flags": 0.1}, 0.75), ({"flags": 0.05}, 0.875), ({"flags": 1}, 0), ({"flags": 0}, 1)],
)
def test_a_threshold_flags_a_share_of_the_traffic(rule: object, expected: float) -> None:
    """By the reference of 600, 200, 100 and 100 comments in quarters."""
    rules = policy(thresholds={"toxic": {"*": rule}})
    assert rules.threshold("toxic", "en", CONTRACT) == pytest.approx(expected)


def test_a_threshold_has_a_precision() -> None:
    """That of the bundle's curve; nothing is flagged if no threshold has it."""
    for precision, expected in ((0.3, 0.75), (0.2, 0.5), (0.0, 0.5), (0.9, math.inf)):
        rules = policy(thresholds={"toxic": {"*": {"precision": precision}}})
        rules.check(CONTRACT, name="forum", version="7")
        assert rules.threshold("toxic", "en", CONTRACT) == expected


@pytest.mark.parametrize("rule", [{"precision": 0.3}, {"flags": 0.02}])
def test_an_older_bundle_can_not_do_everything(rule: object) -> None:
    """The error names the policy, the version and what to do; other policies work."""
    older = CONTRACT.model_copy(update={"precision_curves": {}, "reference_scores": {}})
    rules = policy(thresholds={"toxic": {"de": rule}})
    with pytest.raises(PolicyUnusableError, match=r"policy 'forum' .* version 7: toxic has no .*train the"):
        rules.check(older, name="forum", version="7")
    with capture_logs() as logged:
        Policies(policies={"forum": rules, "plain": policy()}).warn(older, version="7")
    assert [(entry["event"], "'forum'" in entry["error"]) for entry in logged] == [("policy.unusable", True)]
    policy(thresholds={"toxic": {"de": 0.3}, "off_topic": {"*": rule}}).check(older, name="a", version="7")


def test_lists_decide_before_the_model() -> None:
    """For their labels or all of them; `flag` wins; each label has what decided it."""
    rules = policy(flag={"words": ["idiot"], "labels": ["insult"]}, ignore={"words": ["idiot", "Scunthorpe"]})
    found = decide(rules, "what an IDIOT!", score=0.9)
    assert dict(zip(CONTRACT.labels, found.decisions, strict=True)) == {
        label: label == "insult" for label in CONTRACT.labels
    }
    assert set(found.decided_by) == {DecidedBy.LIST}
    assert rules.listed("idiots of the town", CONTRACT) == {}
    plain = decide(rules, "hello", score=0.1)
    assert set(plain.decided_by) == {DecidedBy.MODEL}
    assert not any(plain.decisions)


@pytest.mark.parametrize(
    "text", ["Дурак!", "ну дурак", "ｉｄｉｏｔ", "an i\u200bdiot", "buy cheap pills", "go, Home"]
)
def test_words_and_patterns_match_as_the_model_reads(text: str) -> None:
    """Whole words of any script, in any case, without invisible characters; patterns anywhere."""
    assert Matcher(("дурак", "idiot", "go home"), (r"buy \w+ pills",), 1)(text)


@pytest.mark.parametrize("text", ["дураки", "idiotic", "buy pills", "animal", "malé"])
def test_parts_of_words_do_not_match(text: str) -> None:
    """The Scunthorpe problem."""
    assert not Matcher(("дурак", "idiot", "mal"), (r"buy \w+ pills",), 1)(text)


def test_a_word_without_letters_matches_anywhere() -> None:
    """Such as an emoji; one of white space is refused."""
    assert Matcher(("🖕",), (), 1)("so 🖕🖕")
    assert not Matcher(("🖕",), (), 1)("so 👍")
    with pytest.raises(ValueError, match="is blank"):
        Matcher((" ",), (), 1)


def test_ten_thousand_patterns_match_in_linear_time() -> None:
    """Also those that take exponential time elsewhere."""
    many = tuple(f"word{number} here" for number in range(5_000))
    matches = Matcher((), (*many, *(rf"\bbad{number}\b" for number in range(5_000)), r"(a|a)*$b"), 1)
    started = time.perf_counter()
    assert not matches("a" * 20_000)
    assert matches("this is Bad4999.")
    assert time.perf_counter() - started < 60


@pytest.mark.parametrize(
    ("markup", "text", "stripped"),
    [
        ("bbcode", "[quote=Ann]you [quote]x[/quote] fool[/quote] I [b]agree[/b]", "I agree"),
        ("bbcode", "well[code] idiot()", "well  idiot()"),
        ("bbcode", "well[/quote] you [quote]x[/quote]fool [quote]me", "well  you  fool  me"),
        ("bbcode", "[quote]only this[/quote]", "[quote]only this[/quote]"),
        ("html", "<blockquote>you fool</blockquote><p>I &amp; you <b>agree</b>", "I & you  agree"),
        ("html", "a < b > c", "a < b > c"),
        (
            "markdown",
            "> you fool\n\nI **agree**, see [this](http://x)\n```\nidiot()\n```\n",
            "I agree, see this",
        ),
    ],
)
def test_markup_is_stripped(markup: str, text: str, stripped: str) -> None:
    """With quotes of others and code; a text of these alone stays, and a tag without an end hides nothing."""
    assert strip_markup(text, markup) == stripped


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "policies:\n  forum:\n    thresholds:\n      toxic:\n        de: 1.5\n",
            r"^Line 5 .*thresholds\.toxic\.de",
        ),
        ("policies:\n  forum:\n    colour: red\n", r"^Line 3 .*policies\.forum\.colour: Extra inputs"),
        ("policies:\n  forum:\n    flag:\n      patterns: ['(']\n", r"^Line 3 .*isn't a pattern of RE2"),
        ("policies:\n  a: {keys: [x]}\n  b: {keys: [x]}\n", r"the key 'x' belongs to two"),
        ("policies:\n  a: [\n", "can't be read as YAML: see line 3"),
        ("policies: 2026-99-99", "can't be read as YAML"),
        ("[" * 10_000, "can't be read as YAML"),
        ("", "^Line 1 "),
    ],
)
def test_an_invalid_file_is_refused_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    """A missing file too."""
    path = tmp_path / "policies.yml"
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_policies(path)
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        read_policies(path)


def test_the_documented_file_is_valid(tmp_path: Path) -> None:
    """The example in docs/policies.md."""
    document = Path(__file__).parents[4] / "docs" / "policies.md"
    path = tmp_path / "policies.yml"
    path.write_text(document.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0])
    found: Policies = read_policies(path)
    assert found.of_key("forum") == "forum"
    assert found.of_key("other") is None
    assert found.policies["forum"].listed("buy cheap pills", CONTRACT) == {"toxic": True}
