"""What a user does and sees, besides how it is shown: the functions that command line and API share."""
