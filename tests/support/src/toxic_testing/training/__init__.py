"""What tests of this package share."""
