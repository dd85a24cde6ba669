"""What tests of several packages share: small experiments, stores, servers, sweeps as processes, a browser."""
