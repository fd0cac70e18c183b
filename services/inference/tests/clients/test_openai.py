"""OpenAI's SDKs, with only the base URL changed."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import ModerationTextInputParam

TEXTS = ("you are a stupid idiot", "have a lovely day")
HERE = Path(__file__).parent


@pytest.fixture
def options(address: str) -> dict[str, Any]:
    """What a user of the SDK changes."""
    return {"base_url": f"{address}/openai/v1", "api_key": "any", "max_retries": 0}


def test_the_python_sdk(options: dict[str, Any]) -> None:
    """As in OpenAI's guide: one text, several texts, text parts."""
    with openai.OpenAI(**options) as client:
        single = client.moderations.create(model="omni-moderation-latest", input=TEXTS[0]).results[0]
        several = client.moderations.create(input=list(TEXTS)).results
        part: ModerationTextInputParam = {"type": "text", "text": TEXTS[0]}
        parts = client.moderations.create(input=[part]).results
        assert client.models.retrieve("omni-moderation-latest").object == "model"
        assert "toxic-comments" in {model.id for model in client.models.list()}
    assert 0 < single.category_scores.harassment < 1
    assert single.category_applied_input_types.harassment == ["text"]
    assert single.category_applied_input_types.sexual == []
    assert several[0].category_scores == single.category_scores
    assert len(several) == 2
    assert len(parts) == 1


def test_the_python_sdk_s_errors(options: dict[str, Any]) -> None:
    """It raises its own errors, with our message."""
    image: Any = [{"type": "image_url", "image_url": {"url": "https://example.com/image.png"}}]
    with openai.OpenAI(**options) as client:
        with pytest.raises(openai.BadRequestError, match="is an image"):
            client.moderations.create(input=image)
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.moderations.create(input="a", model="gpt-5")


def test_the_python_sdk_on_an_event_loop(options: dict[str, Any]) -> None:
    """Several requests at a time."""

    async def moderate() -> list[Any]:
        async with openai.AsyncOpenAI(**options) as client:
            return await asyncio.gather(*(client.moderations.create(input=text) for text in TEXTS))

    assert [len(moderation.results) for moderation in asyncio.run(moderate())] == [1, 1]


def test_the_node_sdk(address: str, tmp_path: Path) -> None:
    """Two texts, and an error."""
    npm, node = shutil.which("npm"), shutil.which("node")
    assert npm, "This test needs npm (Debian: apt-get install npm)."
    assert node, "This test needs node (Debian: apt-get install nodejs)."
    for source in (HERE / "node_openai").iterdir():
        shutil.copy(source, tmp_path)
    subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=tmp_path, check=True, capture_output=True)
    command = [node, "moderate.js", address, *TEXTS]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    answer = json.loads(done.stdout)
    assert [result["category_applied_input_types"]["hate"] for result in answer["moderation"]["results"]] == [
        ["text"],
        ["text"],
    ]
    assert answer["refused"]["name"] == "BadRequestError"
    assert "is an image" in answer["refused"]["message"]
