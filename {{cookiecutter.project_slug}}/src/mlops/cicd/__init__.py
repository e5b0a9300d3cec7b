"""The CI/CD platform of a project: GitHub or Azure DevOps, reached by the tools `gh` and `az`."""
