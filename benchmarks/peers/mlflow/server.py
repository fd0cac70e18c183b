"""MLflow's scoring server around a pyfunc, as `mlflow models serve` starts it.

MLflow doesn't batch: each request is one call of `predict`. Its documents scale it by workers
(https://mlflow.org/docs/latest/cli.html#mlflow-models-serve, `--workers`): one a processor, one thread each.
"""

import os
import sys
from pathlib import Path

from benchmarks.peers.scorer import Scorer
from mlflow.pyfunc import PythonModel, PythonModelContext, save_model


class Toxicity(PythonModel):
    """The scorer as a pyfunc."""

    def load_context(self, context: PythonModelContext) -> None:  # noqa: ARG002  MLflow's signature
        """Load the model."""
        self.scorer = Scorer()

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002
        """Score a column of texts."""
        return self.scorer(list(model_input["text"]))


def main() -> None:
    """Write the pyfunc if it is missing, and become the server."""
    port, folder = sys.argv[1], Path(sys.argv[2]) / "pyfunc"
    if not folder.is_dir():
        save_model(str(folder), python_model=__file__, pip_requirements=[])
    arguments = ["-m", "mlflow", "models", "serve", "--model-uri", str(folder), "--port", port]
    workers = ["--env-manager", "local", "--workers", str(os.cpu_count())]
    os.execv(sys.executable, [sys.executable, *arguments, *workers])  # noqa: S606  our own arguments


if __name__ == "__main__":
    main()
else:  # models from code: MLflow runs this file to make the model
    from mlflow.models import set_model

    set_model(Toxicity())
