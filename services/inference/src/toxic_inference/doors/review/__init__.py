"""The review of texts by moderators, and its exchange with Label Studio."""
