"""The parts of the composition root: each module makes the objects of one concern from the settings."""
