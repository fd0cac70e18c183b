"""Corrections over HTTP: file, export, delete."""
