"""What `processes.py` has loaded before it forks: the commands, the server, OpenDP and the compiled kernel.

Nothing is drawn, opened or started here: a fork would share it.
"""

import gc

from queries import mechanisms
from queries.execution import kernel, partition_selection
from server import serving
from server.cli.main import COMMANDS

for command in COMMANDS.values():
    command.load()
kernel.warm()
partition_selection.warm()
mechanisms.warm()
gc.freeze()  # so that no fork's collector walks, and thereby copies, what all of them share

__all__ = ["serving"]
