"""From comments to a trained classifier."""
