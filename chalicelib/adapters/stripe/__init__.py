"""Stripe behind the `Gateway` port. Only `gateway.py` imports the SDK: everything else starts cold without it."""
