//! Where gateways run. One runtime so far: child processes of the server.
