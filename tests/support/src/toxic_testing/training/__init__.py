"""What tests of this package share."""

SMALLEST = (
    "modelling.epochs=1,modelling.max_tokens=32,modelling.vocabulary_size=500,modelling.batch_size=128,"
    "modelling.selections=1,evaluation.bootstrap_samples=0,evaluation.precision_comments=20,"
    "evaluation.disguised_comments=20"
)
"""Parameters of the demo's training for tests of its path, whatever the model is like."""
