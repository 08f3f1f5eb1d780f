"""What several test rooms share: servers, databases, free ports."""
