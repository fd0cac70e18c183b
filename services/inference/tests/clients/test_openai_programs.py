"""Programs that others wrote for OpenAI's moderation endpoint, unmodified but for their base URL."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port

pytestmark = pytest.mark.clients

TEXTS = ("you are a stupid idiot fool", "have a lovely day")
PACKAGES = ("langchain-classic>=1,<2", "litellm[proxy]>=1.80,<2", "openai")
LANGCHAIN = """
import asyncio, json, sys
from langchain_classic.chains import OpenAIModerationChain
chain, strict = OpenAIModerationChain(), OpenAIModerationChain(error=True)

def refuses(text):
    try:
        strict.invoke(text)
    except ValueError:
        return True
    return False

async def moderate(texts):
    return [(await chain.ainvoke(text))["output"] for text in texts]

texts = sys.argv[1:]
said = [chain.invoke(text)["output"] for text in texts]
print(json.dumps([said, asyncio.run(moderate(texts)), [refuses(text) for text in texts]]))
"""
KEY = "sk-of-the-proxy"
REFUSAL = "Text was found that violates OpenAI's content policy."


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment with the programs."""
    folder = tmp_path_factory.mktemp("programs") / "venv"
    uv = (sys.executable, "-m", "uv")
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(folder), *PACKAGES], check=True)
    return folder / "bin"


@pytest.fixture
def flagged(address: str) -> list[bool]:
    """Whether the service flags each text."""
    answer = httpx.post(f"{address}/openai/v1/moderations", json={"input": list(TEXTS)})
    return [result["flagged"] for result in answer.json()["results"]]


def test_langchain_s_chain(installed: Path, address: str, flagged: list[bool]) -> None:
    """A flagged text becomes LangChain's refusal, or its error; another one passes."""
    environment = os.environ | {"OPENAI_BASE_URL": f"{address}/openai/v1", "OPENAI_API_KEY": "any"}
    done = subprocess.run(
        [installed / "python", "-c", LANGCHAIN, *TEXTS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [
        [said := REFUSAL if bad else text, said, bad] for text, bad in zip(TEXTS, flagged, strict=True)
    ]
    assert json.loads(done.stdout.splitlines()[-1]) == expected


def test_litellm_s_proxy(installed: Path, address: str, flagged: list[bool], tmp_path: Path) -> None:
    """It passes texts on under a name of its own, and answers with the categories."""
    port = free_port()
    upstream = {
        "model": "openai/omni-moderation-latest",
        "api_base": f"{address}/openai/v1",
        "api_key": "any",
    }
    config = {"model_list": [{"model_name": "own", "litellm_params": upstream}]}
    (tmp_path / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    command = ("--config", str(tmp_path / "config.yaml"), "--host", "127.0.0.1", "--port", str(port))
    server = Server(
        command,
        environment={"LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        folder=tmp_path,
        python=str(installed / "litellm"),
    )
    try:
        server.logs.wait_for("Uvicorn running", seconds=300)
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/moderations",
            json={"model": "own", "input": list(TEXTS)},
            headers={"authorization": f"Bearer {KEY}"},
            timeout=60,
        )
    finally:
        server.kill()
    results: list[dict[str, Any]] = answer.json()["results"]
    assert [result["flagged"] for result in results] == flagged
    assert results[0]["category_applied_input_types"]["sexual"] == []
