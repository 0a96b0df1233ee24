"""Model servers as every cloud runs them: processes of the host behind one gateway, and who gets which request."""
