"""`rowless`, also as `python -m server.cli`."""

import atexit
import gc

from server.cli.main import main


def run() -> None:
    """Run the command that is asked for."""
    # What a command loaded stays until its end. Looking for garbage among it once more then would only take time.
    atexit.register(gc.freeze)
    main(prog_name="rowless")


if __name__ == "__main__":
    run()
