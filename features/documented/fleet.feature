Feature: What people are taught to do with many machines at once
  The commands of the user guide about replica sets and pools. What kubectl itself prints is tested with kubectl.

  Scenario: The user guide's replica set, exposed as a Service
    Given a cluster with 2 nodes
    When the client posts:
      """
      {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceReplicaSet", "metadata": {"name": "testreplicaset"},
       "spec": {"replicas": 3, "selector": {"matchLabels": {"myvmi": "myvmi"}},
         "template": {"metadata": {"name": "test", "labels": {"myvmi": "myvmi"}}, "spec": {
           "domain": {"devices": {"disks": [{"name": "containerdisk", "disk": {}}]}, "resources": {"requests": {"memory": "64M"}}},
           "volumes": [{"name": "containerdisk", "containerDisk": {"image": "kubevirt/cirros-container-disk-demo:latest"}}]}}}}
      """
    Then the replica set "testreplicaset" has 3 replicas, 3 ready
    And there are exactly 3 VMIs labelled "myvmi=myvmi"
    When the user runs "virtctl expose vmirs testreplicaset --name=vmirs-service --port=27017 --target-port=22"
    Then virtctl prints "Service vmirs-service successfully created for vmirs testreplicaset"
    And the Service "vmirs-service" leads to the pods of 3 VMIs at port 22
    When the client scales the replica set "testreplicaset" to 2
    Then the Service "vmirs-service" leads to the pods of 2 VMIs at port 22

  Scenario: What an autoscaler is told
    Given a cluster with 1 node
    And a replica set "testreplicaset" with 3 ready replicas
    Then the scale of the replica set "testreplicaset" is 3 of 3, selected by "app=testreplicaset"
    And every launcher pod of the replica set "testreplicaset" is selected by its scale

  Scenario: The user guide's pool: scaled, a VM detached, one replaced
    Given a cluster with 2 nodes
    And a pool "vm-pool-cirros" with 3 ready replicas
    When the client scales the pool "vm-pool-cirros" to 5
    Then the VMs labelled "app=vm-pool-cirros" are "vm-pool-cirros-0, vm-pool-cirros-1, vm-pool-cirros-2, vm-pool-cirros-3, vm-pool-cirros-4"
    When the client deletes the VM "vm-pool-cirros-3"
    Then the VMI "vm-pool-cirros-3" is replaced by another one
    And the pool "vm-pool-cirros" has 5 replicas, 5 ready
    When the client labels the VM "vm-pool-cirros-0" with "app=newlabel"
    Then the VM "vm-pool-cirros-0" is nobody's
    And the VMs labelled "app=vm-pool-cirros" are "vm-pool-cirros-1, vm-pool-cirros-2, vm-pool-cirros-3, vm-pool-cirros-4, vm-pool-cirros-5"
