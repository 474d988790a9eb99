"""Bodies and answers of the API that are worth a module of their own."""
