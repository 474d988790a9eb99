"""Perennial on one machine: nothing in here is packaged for AWS."""
