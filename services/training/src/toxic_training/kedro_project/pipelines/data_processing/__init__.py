"""From raw tables to clean comments, split without leaks."""
