"""`rowless`, also as `python -m server.cli`.

What is loaded at the start stays until the end. Looking for garbage among it, again and again while it is loaded and
once more at the end, would take two fifths of the time of a short command.
"""

import gc


def run() -> None:
    """Load the commands, and run the one that is asked for."""
    gc.disable()
    from server.cli.main import main

    gc.freeze()
    gc.enable()
    main(prog_name="rowless")


if __name__ == "__main__":
    run()
