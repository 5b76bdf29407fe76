Feature: Changing a machine that runs
  What a running guest can take it gets at once; for the rest the VM says that it has to be restarted, and `virtctl why` says for what.

  Scenario: A change that only a restart brings is named
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    And the VM "vm" is Running
    And the client patches the VM "vm" with:
      """
      {"spec": {"template": {"spec": {"hostname": "other", "domain": {"machine": {"type": "pc-q35-rhel9.4.0"}}}}}}
      """
    Then condition "RestartRequired" of the VM "vm" is "True"
    When the user runs "virtctl why vm/vm"
    Then virtctl shows "RestartRequired is True since 0s: a non-live-updatable field was changed in the template spec"
    And virtctl shows "spec.template.spec.domain.machine.type was changed after the start: the guest has it after a restart"
    And virtctl shows "spec.template.spec.hostname was changed after the start"
    And virtctl shows "the domain is Running, says virt-launcher"
    When the user runs "virtctl restart vm"
    Then the VMI "vm" is replaced by another one
    And the VM "vm" has no condition "RestartRequired"

  Scenario: A change that is taken back needs no restart
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    And the VM "vm" is Running
    And the client patches the VM "vm" with:
      """
      {"spec": {"template": {"spec": {"hostname": "other"}}}}
      """
    Then condition "RestartRequired" of the VM "vm" is "True"
    When the client patches the VM "vm" with:
      """
      {"spec": {"template": {"spec": {"hostname": null}}}}
      """
    Then the VM "vm" has no condition "RestartRequired"
    And the UID of the VMI "vm" is noted
    And the UID of the VMI "vm" is the one noted

  Scenario: Where the guest may run reaches it without a restart
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    And the VM "vm" is Running
    And the client patches the VM "vm" with:
      """
      {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}}}}
      """
    Then the VMI "vm" gets "linux" in spec/nodeSelector/kubernetes.io~1os
    And the VM "vm" has no condition "RestartRequired"

  Scenario: A guest that has ended
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi"
    And the VMI "vmi" becomes Running
    And the guest of "vmi" powers off
    And the VMI "vmi" becomes Succeeded
    And the user runs "virtctl why vmi/vmi"
    Then virtctl shows "VirtualMachineInstance/vmi is Succeeded"
    And virtctl shows "no domain any more: the guest has ended"
