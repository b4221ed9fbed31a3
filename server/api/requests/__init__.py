"""What comes in, checked by marshmallow and turned into frozen values."""
