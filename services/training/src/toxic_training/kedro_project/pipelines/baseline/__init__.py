"""Packs the model that ships with the repository, and unpacks it into a bundle or a registered version."""
