"""Encoders to fine-tune, all in one form: the files of a Hugging Face folder."""
