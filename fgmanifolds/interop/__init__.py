"""The same manifolds in other packages."""
