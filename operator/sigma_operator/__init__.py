"""The SIGMA-X operator: manifests in, Kubernetes objects out.

`backtest` and `strategy` have files of the same names: `render` turns a resource into the objects it
needs, `observe` turns their state into a status (both are pure), `reconcile` is one step. `kubernetes` holds
what they share, `crds` the resource definitions; `handlers` wakes the steps.
"""
