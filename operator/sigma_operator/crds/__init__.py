"""The resource definitions, from the spec types, and what a status holds."""
