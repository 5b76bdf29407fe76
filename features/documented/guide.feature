Feature: The user guide, step by step
  What people are taught to do with kubectl and virtctl, as the API sees it. What kubectl itself prints is tested with kubectl.

  Scenario: Start and stop by patching the VM
    Given a cluster with 1 node
    When the client creates the VM "testvm" with running "false"
    Then the VM "testvm" shows "Stopped"
    # kubectl patch virtualmachine testvm --type merge -p '{"spec":{"running":true}}'
    When the client patches the VM "testvm" with:
      """
      {"spec":{"running":true}}
      """
    Then the VM "testvm" shows "Running"
    When the client patches the VM "testvm" with:
      """
      {"spec":{"running":false}}
      """
    Then the VM "testvm" shows "Stopped"

  Scenario: What describe shows of a start
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Always"
    And the VM "testvm" is Running
    Then an event of VirtualMachine "testvm" says "Normal SuccessfulCreate Started the virtual machine by creating the new virtual machine instance testvm"
    And an event of VirtualMachineInstance "testvm" says "Normal SuccessfulCreate Created virtual machine pod virt-launcher-testvm-"
    And an event of VirtualMachineInstance "testvm" says "Normal Created VirtualMachineInstance defined."
    And an event of VirtualMachineInstance "testvm" says "Normal Started VirtualMachineInstance started."
    When the user runs "virtctl pause vm testvm"
    Then an event of VirtualMachineInstance "testvm" says "Normal Paused VirtualMachineInstance paused"

  Scenario: Deleting with and without cascade
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Always"
    And the VM "testvm" is Running
    Then the UID of the VMI "testvm" is noted
    # kubectl delete virtualmachine testvm --cascade=orphan
    When the client deletes the VM "testvm" with propagation policy "Orphan"
    Then the VM "testvm" is gone
    And the VMI "testvm" has no owner
    And the UID of the VMI "testvm" is the one noted
    # kubectl delete virtualmachine testvm
    When the client creates the VM "testvm" with run strategy "Always"
    Then the VMI "testvm" is owned by the VM "testvm"
    And the UID of the VMI "testvm" is the one noted
    When the client deletes the VM "testvm" with propagation policy "Foreground"
    Then the VM "testvm" is gone
    And the VMI "testvm" is gone
    And no domain is left

  Scenario: A forced restart does not wait for the guest
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Always", whose guest takes 10m to shut down
    And the VM "testvm" is Running
    Then the UID of the VMI "testvm" is noted
    When the user runs "virtctl restart testvm --force --grace-period=0"
    Then virtctl prints "VM testvm was scheduled to restart"
    And the VMI "testvm" is replaced by another one within 1 minutes
    And the VM "testvm" shows "Running"

  Scenario: The SSH port as a Service of its own
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Halted"
    And the user runs "virtctl expose vm testvm --name=ssh --port=27017 --target-port=22 --type=LoadBalancer"
    Then virtctl prints "Service ssh successfully created for vm testvm"
    When the user runs "virtctl start testvm"
    And the VM "testvm" is Running
    Then the Service "ssh" leads to port 22 of the pod of the VMI "testvm"
