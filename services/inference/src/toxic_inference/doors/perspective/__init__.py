"""The Perspective API's door: its messages, their meaning here, and its discovery document."""
