"""The shipped baseline, served by itself: scores in every language, and the examples of the documents."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from toxic_testing.forking import quick_python
from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port
from toxic_testing.registry import copy_tables

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
UNPACK_SECONDS = 600
ADDRESS = "localhost:8001"
"""The service's address in the documents."""
COMMENTS = "comment_text,lang\nHave a lovely day.,en\nOnly an idiot would write this.,en\n"

RUDE_AND_KIND = {
    "en": ("You are a complete idiot, shut up.", "Thank you, that was very kind of you."),
    "es": ("Eres un completo idiota, cállate.", "Gracias, has sido muy amable."),
    "fr": ("Tu es un idiot fini, ferme-la.", "Merci, c'était très gentil de ta part."),
    "it": ("Sei un completo idiota, stai zitto.", "Grazie, sei stato molto gentile."),
    "pt": ("Você é um completo idiota, cale a boca.", "Obrigado, foi muito gentil da sua parte."),
    "ru": ("Ты полный идиот, заткнись.", "Спасибо, это было очень любезно."),
    "tr": ("Sen tam bir aptalsın, kapa çeneni.", "Teşekkürler, çok naziksiniz."),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Unpack the baseline as version 1 of a folder, serve that, and return the service's address."""
    folder = tmp_path_factory.mktemp("baseline")
    unpacking = (
        quick_python("training"),
        "-m",
        "toxic_training",
        "run",
        "--env",
        "demo",
        "--pipelines",
        "unpack_baseline",
    )
    subprocess.run(
        unpacking,
        env={
            **os.environ,
            "TOXIC_DEMO_DIR": str(folder),
            "MLFLOW_TRACKING_URI": copy_tables(folder / "mlflow.db"),
        },
        check=True,
        timeout=UNPACK_SECONDS,
    )
    models = folder / "models"
    models.mkdir()
    (folder / "06_models" / "baseline" / "bundle").rename(models / "1")
    port = free_port()
    environment = {"INFERENCE_PORT": str(port), "INFERENCE_MODEL_DIRECTORY": str(models)}
    server = Server(("-m", "toxic_inference"), environment=environment, folder=folder)
    try:
        server.logs.wait_for("route.moved")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()


@pytest.mark.parametrize("language", RUDE_AND_KIND)
def test_the_baseline_tells_rude_from_kind(served: str, language: str) -> None:
    """In each language an insult scores as toxic, and thanks get no label."""
    texts = RUDE_AND_KIND[language]
    answer = httpx.post(f"{served}/predict", json={"texts": texts, "language": language}, trust_env=False)
    rude, kind = answer.raise_for_status().json()["results"]
    assert rude["scores"]["toxic"] > 0.5, rude["scores"]
    assert not any(kind["decisions"].values()), kind["scores"]


def _blocks(document: str, language: str) -> list[str]:
    """Return the code blocks of a document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def _requests(document: str) -> list[str]:
    """Return the commands of a document that send a complete request, without a placeholder."""
    lines = "".join(_blocks(document, "console")).replace("\\\n", " ").splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [
        command
        for command in commands
        if re.search(f"curl -s '?{ADDRESS}", command)
        and not any(placeholder in command for placeholder in ("…", "/DIGEST", "@export.json"))
    ]


@pytest.mark.parametrize(
    ("document", "command"),
    [
        (document, command)
        for document in ("README.md", "docs/score.md", "docs/migrate.md", "docs/watch.md")
        for command in _requests(document)
    ],
)
def test_a_request_of_the_documents_is_answered(
    served: str, tmp_path: Path, document: str, command: str
) -> None:
    """Every complete `curl` command of the guides succeeds, in a folder with a comments.csv."""
    (tmp_path / "comments.csv").write_text(COMMENTS)
    checked = command.replace("curl -s", "curl -sS --fail-with-body --noproxy '*'")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", checked.replace(ADDRESS, served.removeprefix("http://"))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{document}: {command}\n{done.stdout}{done.stderr}"


def test_the_readme_shows_what_the_shipped_model_answers(served: str) -> None:
    """The README's response has the service's fields, decisions and, within a precision's error, scores."""
    (shown,) = (json.loads(block) for block in _blocks("README.md", "json"))
    texts = ["Only an idiot would write this."]
    found = httpx.post(f"{served}/predict", json={"texts": texts}, trust_env=False).raise_for_status().json()
    shown_scores = shown["results"][0].pop("scores")
    assert found["results"][0].pop("scores") == pytest.approx(shown_scores, abs=0.05)
    assert found == shown


def test_the_client_of_the_migration_guide_gets_scores(served: str, tmp_path: Path) -> None:
    """The Python example of docs/migrate.md works with Google's client."""
    (example,) = _blocks("docs/migrate.md", "python")
    call = example.replace(f"http://{ADDRESS}", served).replace(
        "client.comments()", "answer = client.comments()"
    )
    script = tmp_path / "example.py"
    script.write_text(
        f"import json\nfrom googleapiclient import discovery\n{call}\nprint(json.dumps(answer))\n"
    )
    run = [sys.executable, str(script)]
    printed = subprocess.run(run, check=True, capture_output=True, text=True, timeout=60).stdout
    scores = json.loads(printed)["attributeScores"]
    assert scores["TOXICITY"]["summaryScore"]["value"] > scores["INSULT"]["summaryScore"]["value"] > 0
