"""OpenAI's moderation API."""
