"""Engines and fakes that live in one process and keep the ports' contracts."""

from chalicelib.adapters.memory.fakes import MemoryCatalogs, MemoryMailer, MemoryQueues, Sent
from chalicelib.adapters.memory.store import MemoryStore

__all__ = ["MemoryCatalogs", "MemoryMailer", "MemoryQueues", "MemoryStore", "Sent"]
