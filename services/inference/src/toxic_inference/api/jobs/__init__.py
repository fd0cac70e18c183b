"""Files that are scored while nobody waits: where they lie, who scores them, the routes."""
