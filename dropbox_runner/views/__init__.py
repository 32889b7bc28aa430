"""What people look at: made from what the folders say, never the other way round."""
