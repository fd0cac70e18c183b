"""The model as MLflow's `python_function` flavour, from code: no pickle.

MLflow runs this file when it loads a version (`mlflow.pyfunc.load_model`, `mlflow models serve`,
`spark_udf`). The version contains only `toxic_core` of this repository, so that this file must import no
other package of it.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import tensorflow as tf

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES, SIGNATURE, open_bundle
from toxic_core.contract.calibration import calibrate

_BATCH_SIZE = 32

# MLflow infers signatures from type hints; this model has its own.
warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method", category=UserWarning)


class ToxicCommentsModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]  # MLflow re-exports it at run time
    """Scores texts with a model bundle."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:  # type: ignore[name-defined]
        """Open and verify the bundle, load its tokenizer and SavedModel."""
        bundle = open_bundle(Path(context.artifacts["bundle"]))
        self._contract = bundle.contract
        self._tokeniser = bundle.tokeniser()
        self._model = tf.saved_model.load(str(bundle.saved_model))

    def predict(self, model_input: pd.DataFrame, params: dict[str, object] | None = None) -> pd.DataFrame:  # noqa: ARG002 - MLflow's name
        """Return the calibrated scores of each text in the column `text`, one column per label."""
        texts = model_input["text"].tolist()
        batches = [
            self._score(texts[start : start + _BATCH_SIZE]) for start in range(0, len(texts), _BATCH_SIZE)
        ]
        scores = np.concatenate(batches) if batches else np.zeros((0, len(self._contract.labels)), np.float32)
        return pd.DataFrame(scores, columns=list(self._contract.labels))

    def _score(self, texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        batch = self._tokeniser.encode(texts)
        output = self._model.signatures[SIGNATURE](
            **{INPUT_IDS: tf.constant(batch.input_ids), ATTENTION_MASK: tf.constant(batch.attention_mask)}
        )
        raw = np.asarray(output[SCORES], dtype=np.float32)
        return calibrate(raw, languages=[None] * len(texts), contract=self._contract)


mlflow.models.set_model(ToxicCommentsModel())
