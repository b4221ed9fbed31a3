"""What the server itself raises on purpose; `problems.py` says how each is answered."""


class ServerError(Exception):
    """Root of the tree."""


class NoHome(ServerError):
    """There is no home folder yet."""


class Malformed(ServerError):
    """The body is no JSON that can be read."""


class Unauthenticated(ServerError):
    """There is no valid token."""


class Busy(ServerError):
    """Too many scans are under way. Nothing was charged."""


class StoreUnavailable(ServerError):
    """A dataset's store cannot be opened, or a made-up one failed. A charge was given back: nothing was read yet."""


class QueryFailed(ServerError):
    """The scan failed. It was charged; the same request resumes it. The cause is in the admin's log only."""
