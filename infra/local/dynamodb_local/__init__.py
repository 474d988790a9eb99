"""Amazon's own local engine, for the tests that can use it. Needs Java 17 and Maven; nothing else here does."""
