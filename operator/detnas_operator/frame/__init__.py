"""The process: watches, credentials, health, and the queue that passes are made from."""
