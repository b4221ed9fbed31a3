"""The errors that the server itself raises; `web/problems.py` has the reply to each."""


class ServerError(Exception):
    """Root of the tree."""


class NoHome(ServerError):
    """The home folder does not exist yet."""


class Malformed(ServerError):
    """The body is not valid JSON."""


class Unauthenticated(ServerError):
    """The request has no valid token."""


class Busy(ServerError):
    """Too many scans are running. Nothing was charged."""


class StoreUnavailable(ServerError):
    """A dataset's store cannot be opened, or a made-up store failed. No data were read; the charge was given back."""


class QueryFailed(ServerError):
    """The scan failed after it was charged. The same request resumes it. Only the admin's log has the cause."""
