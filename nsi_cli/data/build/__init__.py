"""From a schema builder to a store."""
