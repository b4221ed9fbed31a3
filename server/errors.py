"""The errors that the server itself raises; `server/web/problems.py` has the reply to each."""

# One text for every failure after data were read, because the cause may depend on the data.
QUERY_FAILED = (
    "The query failed after it was charged. Send the same request again: it resumes without a new charge, up to twice."
)


CANCELLED = "It was charged. Send the same request again: it resumes without a new charge, up to twice."


class ServerError(Exception):
    """Root of the tree."""


class SettingsError(ServerError):
    """A setting is wrong. The text names it and gives the reason."""


class NoHome(ServerError):
    """The home folder does not exist yet."""


class Malformed(ServerError):
    """The body is not valid JSON."""


class Unauthenticated(ServerError):
    """The request has no valid token."""


class IssuerUnavailable(ServerError):
    """The issuer's keys are needed and cannot be fetched now, so nobody can tell whether a token is good."""


class Busy(ServerError):
    """There is too much to do, whoever asks. Nothing was charged."""


class TooManyRequests(ServerError):
    """A user or a study has as many requests in progress as one may have. Nothing was charged."""


class TooFast(ServerError):
    """A token or an address sends requests faster than it may. `retry_seconds` is when it may send one again."""

    def __init__(self, message: str, retry_seconds: int) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class Abandoned(ServerError):
    """The client closed its connection before anything was charged."""


class VerifierFailed(ServerError):
    """The process that checks the log ended without a report, for example because the machine has no memory for it."""


class NotReady(ServerError):
    """The server cannot serve now; `failed` names what it needs and cannot use."""

    def __init__(self, failed: tuple[str, ...]) -> None:
        super().__init__(f"cannot be used: {', '.join(failed)}")
        self.failed = failed


class StoreUnavailable(ServerError):
    """A dataset's store cannot be opened, or a made-up store failed. No data were read; the charge was given back."""


class Cancelled(ServerError):
    """Its asker cancelled the query after it was charged. The same request resumes it."""


class QueryFailed(ServerError):
    """The scan failed after it was charged. The same request resumes it. Only the admin's log has the cause."""
