"""What can be asked of a server: a class for each subject, with a method for every route."""
