"""From a trained model to a registered version: bundle, lineage, the shipped baseline."""
