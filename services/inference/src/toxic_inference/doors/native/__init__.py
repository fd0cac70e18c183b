"""The native door, `POST /predict`: JSON, forms, CSV files and streams of lines."""
