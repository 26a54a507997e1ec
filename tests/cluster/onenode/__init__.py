"""A real Kubernetes node for tests: upstream's own programs, built from Go modules, run in namespaces of
their own.

`tools` builds and caches the programs, `images` the container images; `config` renders certificates, files
and command lines; `node` is the first process inside the namespaces and starts the parts; `supervisor` makes
the namespaces around it from outside, and sees that nothing is left behind. All of it runs with the standard
library alone.
"""
