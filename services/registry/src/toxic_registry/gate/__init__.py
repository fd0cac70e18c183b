"""What a version must show to get an alias, and the rules of every alias change."""
