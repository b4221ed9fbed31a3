"""`python -m server.cli` is `rowless`."""

from server.cli import main

main(prog_name="rowless")
