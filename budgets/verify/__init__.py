"""The independent check of the audit log and of certificates. It stands alone: copy this folder anywhere."""
