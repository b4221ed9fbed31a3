"""The independent check of the audit log and of certificates. It needs no other folder: copy it anywhere."""
