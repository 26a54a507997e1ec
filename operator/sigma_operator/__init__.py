"""The SIGMA-X operator: custom resources in, Kubernetes objects and status out.

`backtest` and `strategy` have files of the same names: `render` turns a resource into its child
objects, `observe` turns their state into a status (both are pure), `reconcile` is one reconcile. `kubernetes`
holds what they share, `crds` the resource definitions; `handlers` puts resources into the workqueue.
"""
