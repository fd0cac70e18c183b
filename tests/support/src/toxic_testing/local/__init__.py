"""What tests of the running stack share."""
