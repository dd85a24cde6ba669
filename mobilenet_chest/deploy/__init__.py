"""Models after promotion: exported files with their proof, and a registered model behind HTTP."""
