"""Tables: reading rows, scoring them in chunks, writing them with their scores."""
