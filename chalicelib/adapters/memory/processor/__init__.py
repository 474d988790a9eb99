"""The processor in memory by topic: what it knows, customers and cards, payments, refunds, disputes, pages."""
