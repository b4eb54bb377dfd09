"""How work is run, which changes no result: devices and their leases, processes, the store, logs, notebook kernels."""
