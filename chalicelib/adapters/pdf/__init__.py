"""Sheets as PDF. Loaded by nobody but who prints: the library and its fonts cost a cold start."""
