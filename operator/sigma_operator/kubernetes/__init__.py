"""What both resources share: the API client, parts of objects, conditions, status writing, the workqueue."""
