"""The release stage: bundles, registered versions, and the baseline that ships with the repository."""
