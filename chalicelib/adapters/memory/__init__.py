"""Engines and fakes that live in one process and keep the ports' contracts."""

from chalicelib.adapters.memory.fakes import MemoryMailer, MemoryQueues, Sent
from chalicelib.adapters.memory.store import MemoryStore

__all__ = ["MemoryMailer", "MemoryQueues", "MemoryStore", "Sent"]
