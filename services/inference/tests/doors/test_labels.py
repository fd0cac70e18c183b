"""The doors over a version with labels of its own."""

import csv
import io
from typing import Protocol

import httpx
import pytest

from toxic_core.contract import Contract
from toxic_inference.serving.versions.states import State, VersionStatus
from toxic_testing.inference.bundles import make_contract

pytestmark = pytest.mark.anyio

LABELS = ("toxic", "sexual_explicit", "off_topic")


class Core(Protocol):
    """The fake core's facts that these tests change."""

    contract: Contract
    ready: bool
    known: list[VersionStatus]


@pytest.fixture(autouse=True)
def _labels(core: Core) -> None:
    """Serve a version with three labels: a known one that training doesn't use, and an unknown one."""
    core.contract = make_contract(labels=LABELS)


def _analysis(attribute: str) -> dict[str, object]:
    return {"comment": {"text": "a" * 40}, "languages": ["en"], "requestedAttributes": {attribute: {}}}


@pytest.mark.parametrize(
    "attribute", ["TOXICITY", "SEXUALLY_EXPLICIT", "OFF_TOPIC", "OFF_TOPIC_EXPERIMENTAL"]
)
async def test_each_label_answers_its_attribute(client: httpx.AsyncClient, attribute: str) -> None:
    """A label without a known attribute answers under its name in upper case."""
    answer = await client.post("/v1alpha1/comments:analyze", json=_analysis(attribute))
    assert answer.json()["attributeScores"][attribute]["summaryScore"]["value"] == 0.4


async def test_attributes_of_other_models_are_refused(client: httpx.AsyncClient) -> None:
    """A known label that the version doesn't have is no attribute of it."""
    answer = await client.post("/v1alpha1/comments:analyze", json=_analysis("INSULT"))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Attribute INSULT does not support request languages: en"


async def test_a_correction_judges_the_served_labels(client: httpx.AsyncClient) -> None:
    """An unknown label, in the judgement or in the scores, is refused with those that are valid."""
    assert (await client.post("/feedback", json={"labels": {"off_topic": True}})).status_code == 201
    for body in ({"labels": {"insult": True}}, {"labels": {"toxic": True}, "scores": {"insult": 0.5}}):
        answer = await client.post("/feedback", json=body)
        assert answer.status_code == 422
        assert "toxic, sexual_explicit, off_topic" in answer.json()["error"]["message"]


async def test_an_export_has_the_labels_of_all_corrections(client: httpx.AsyncClient, core: Core) -> None:
    """Columns are the served labels, then those that only earlier versions had."""
    await client.post("/feedback", json={"id": "1", "labels": {"off_topic": True}})
    core.contract = make_contract(labels=("toxic", "insult"))
    await client.post("/feedback", json={"id": "2", "labels": {"insult": False}})
    rows = list(csv.DictReader(io.StringIO((await client.get("/feedback")).text)))
    assert list(rows[0])[3:-5] == ["toxic", "insult", "off_topic"]
    assert [(row["insult"], row["off_topic"]) for row in rows] == [("", "1"), ("0", "")]


async def test_without_a_version_the_known_labels_can_be_judged(
    client: httpx.AsyncClient, core: Core
) -> None:
    """Corrections are stored while no version answers; a misspelt label is still refused."""
    core.ready = False
    core.known = [VersionStatus("7", State.LOADING, None, ())]
    assert (await client.post("/feedback", json={"labels": {"insult": True}})).status_code == 201
    assert (await client.post("/feedback", json={"labels": {"insulting": True}})).status_code == 422
