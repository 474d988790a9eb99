"""What an operator runs against an installation, deployed or local: never packaged."""
