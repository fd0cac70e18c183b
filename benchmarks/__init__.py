"""What the project measures about itself and its peers; each module is a command."""
