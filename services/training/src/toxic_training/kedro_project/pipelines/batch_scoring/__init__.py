"""From a table of comments to the table with scores and decisions."""
