"""The commands of the audit log: `rowless audit`."""
