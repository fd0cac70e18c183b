"""From texts to calibrated scores, decisions and explanations."""
