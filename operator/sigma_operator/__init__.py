"""The SIGMA-X operator: manifests in, Kubernetes objects out.

`render` turns a resource into the objects it needs and `observe` turns those objects' state into a status;
both are pure. `reconcile` applies and reads, `handlers` wakes it, `crds` writes the resource definitions.
"""
