"""What requests and answers look like over HTTP."""
