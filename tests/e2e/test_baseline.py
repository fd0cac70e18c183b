"""The shipped baseline, served by itself: no registry, no training, real scores in every language."""

import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from toxic_testing.inference.process import Server, free_port

pytestmark = pytest.mark.e2e

UNPACK_SECONDS = 600

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
        sys.executable,
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
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
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
    """In each language an insult scores as toxic, and thanks are decided to carry nothing."""
    texts = RUDE_AND_KIND[language]
    answer = httpx.post(f"{served}/predict", json={"texts": texts, "language": language}, trust_env=False)
    rude, kind = answer.raise_for_status().json()["results"]
    assert rude["scores"]["toxic"] > 0.5, rude["scores"]
    assert not any(kind["decisions"].values()), kind["scores"]
