"""From a classifier to a model version in the registry."""
