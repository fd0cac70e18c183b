"""Moderators' corrections: the record, and the service that keeps them."""
