"""What both resources need of Kubernetes: the API, objects in common, conditions, the queue of work."""
