"""The transferability study: from a spec to the figure of "How transferable are features"."""

from .study import Study

__all__ = ["Study"]
