module sigma-x.io/tests/cluster/pause

go 1.24.0
