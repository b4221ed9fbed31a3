"""The command line: `rowless`."""
