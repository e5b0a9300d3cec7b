"""The engine of the project: one loop over workspaces, the same on a laptop and in Azure.

This package belongs to the template and is brought up to date by it; the model's own code
stands beside it in the project's package.
"""
