"""Request bodies: marshmallow checks them and turns them into frozen values."""
