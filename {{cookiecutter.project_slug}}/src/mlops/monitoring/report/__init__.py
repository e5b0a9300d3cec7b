"""Pages that people look at: a monitor's result, and the state of all environments.

Each page is one HTML file that needs nothing else: no network, no script, no fonts.
"""

from mlops.monitoring.report.monitor_page import monitor_page
from mlops.monitoring.report.status_page import status_page

__all__ = ["monitor_page", "status_page"]
