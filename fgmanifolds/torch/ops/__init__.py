"""Maps of components on tensors."""
