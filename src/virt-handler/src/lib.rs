//! virt-handler: owns the VMIs of one node, between the API server and their launchers.
